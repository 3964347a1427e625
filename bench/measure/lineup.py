"""Who is measured in which scenario."""

from bench.plan import Plan, Scenario, Server, choose, participants

OWN, ALL = "own", "all"  # in place of servers' names: without the peers, and with every one that can take part

Lineup = list[tuple[Scenario, list[Server]]]


def lineup(plan: Plan, scenarios: list[str] | None, asked: list[str] | None) -> Lineup:
    """All scenarios where none is named, without those in which nobody takes part.

    Raises ValueError for an unknown name.
    """
    chosen = choose(plan.scenarios, scenarios or list(plan.scenarios), "scenario")
    groups = [(scenario, _participants(plan, scenario, asked)) for scenario in chosen]
    return [(scenario, servers) for scenario, servers in groups if servers]


def servers_of(groups: Lineup) -> list[Server]:
    """Each once."""
    return list({server.name: server for _, group in groups for server in group}.values())


def asked_for(plan: Plan, asked: list[str] | None) -> list[Server]:
    """Whatever the scenario: our own servers where none is named, and with OWN; every one with ALL.

    Raises ValueError for an unknown name.
    """
    if asked in (None, [OWN]):
        return [server for server in plan.servers.values() if not server.peer]
    return list(plan.servers.values()) if asked == [ALL] else choose(plan.servers, asked or [], "server")


def _participants(plan: Plan, scenario: Scenario, asked: list[str] | None) -> list[Server]:
    if asked not in ([OWN], [ALL]):
        return participants(plan, scenario, asked)
    default = participants(plan, scenario, None)
    if asked == [OWN]:
        return [server for server in default if not server.peer]
    peers = [server.name for server in plan.servers.values() if server.peer]
    return participants(plan, scenario, list(dict.fromkeys([*(server.name for server in default), *peers])))
