import sys

from bench.profile.perf import main

sys.exit(main())
