import sys

from bench.profile.micro import main

sys.exit(main())
