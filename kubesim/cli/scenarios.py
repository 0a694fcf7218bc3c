"""The command ``kubesim scenarios``: known bugs of Kubernetes, listed and run."""

import click

EXIT_FAILED = 1


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="List the scenarios, run none.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def scenarios(names: tuple[str, ...], only_list: bool, as_json: bool) -> int:
    """Run known bugs of Kubernetes: each must trip its rule with the bug, and be silent without it.

    NAMES choose scenarios; without one all are run.

    \b
    Example:
      kubesim scenarios --list
      kubesim scenarios k8s-129795 k8s-93374
    """
    from kubesim.testing.bugs import find_scenarios

    known = find_scenarios()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"scenario {unknown[0]!r} does not exist; expected one of {', '.join(known)}")
    chosen = [known[name] for name in names] if names else list(known.values())
    rows = []
    for each in chosen:
        row: dict[str, object] = {"id": each.id, "rule": each.rule, "how": each.how, "title": each.title}
        if not only_list:
            row["broken"] = each.run(True)
            row["mended"] = each.run(False)
            row["passed"] = bool(row["broken"]) and not row["mended"]
        rows.append(row)
    _print(rows, as_json, only_list)
    return 0 if only_list or all(row["passed"] for row in rows) else EXIT_FAILED


def _print(rows: list[dict[str, object]], as_json: bool, only_list: bool) -> None:
    if as_json:
        import orjson

        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for row in rows:
        click.echo(f"{row['id']:<26} {row['rule']:<4} {row['how']:<9} {row['title']}")
        if not only_list:
            for sentence in row["broken"] or ["the rule was not tripped"]:  # type: ignore[attr-defined]
                click.echo(f"    with the bug: {sentence}")
            for sentence in row["mended"]:  # type: ignore[attr-defined]
                click.echo(f"    WITHOUT the bug: {sentence}")
    if not only_list:
        passed = sum(bool(row["passed"]) for row in rows)
        click.echo(f"scenarios: {passed} passed, {len(rows) - passed} failed")
