"""The title of a process."""

from kit.calls import python


def test_the_title_is_what_ps_shows() -> None:
    code = (
        "from pathlib import Path\nfrom fastserve.host.title import set_title\n"
        "def shown(): return Path('/proc/self/cmdline').read_bytes().rstrip(b'\\0').decode()\n"
        "set_title('shop', 'supervisor', 'serving, 4 workers'); print(shown())\n"
        "set_title('shop', 'worker 2'); print(shown())\n"
    )
    assert python(code).stdout == "shop: supervisor (serving, 4 workers)\nshop: worker 2\n"
