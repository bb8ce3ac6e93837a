import re
from dataclasses import replace
from typing import Any

from rich.console import Console

from benchmarks.render import WIDTH, Plot, footnotes, html_report, latency_rows, markdown, terminal_table, verdict_lines
from benchmarks.report import CaseReport, Minute, Paced, Report, Sustained, ThermalState, Verdict
from benchmarks.statistics import Latency, Ratio


def rendered(report: Report, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_table(report))
    return capture.get().splitlines()


def test_markup_and_control_characters_of_names_are_shown_as_text(report: Report) -> None:
    hostile = replace(report, cases=tuple(replace(case, name="[/a]\x1b[2J") for case in report.cases[:1]))
    text = "\n".join(rendered(hostile, 400))
    assert r"[/a]\x1b[2J" in text
    assert "\x1b" not in text


def slower(case: CaseReport) -> CaseReport:
    """The same case with the widest figures and names."""
    return replace(
        case,
        name=case.name.replace("tflite-", "tflite-waveform-"),
        from_file=Latency.of([12345.6, 23456.7]),
        from_memory=Latency.of([12345.6]),
        realtime_factor=12.34567,
        start_ms=123456.0,
        load_ms=123456.0,
        first_prediction_ms=12345.0,
        peak_memory_mb=1309.0,
        file_mb=222.0,
    )


def test_the_tables_fit_in_100_columns_and_break_no_name(report: Report) -> None:
    tables = [line.rstrip() for line in rendered(report, 400) if line.startswith(" ")]
    assert max(map(len, tables)) <= WIDTH
    assert any(line.split()[:1] == ["tflite-float32"] for line in rendered(report, WIDTH))


def test_slower_and_wider_figures_still_fit(report: Report) -> None:
    ratio = Ratio(median=123.4, low=101.2, high=145.6, rounds=(123.4,))
    speedups = tuple(replace(each, ratio=ratio) for each in report.speedups)
    wide = replace(report, cases=tuple(map(slower, report.cases)), speedups=speedups)
    tables = [line.rstrip() for line in rendered(wide, 400) if line.startswith(" ")]
    assert max(map(len, tables)) <= WIDTH


def test_a_failed_case_has_no_figures_and_the_reference_no_agreement(report: Report) -> None:
    cells = {row[0]: row for row in latency_rows(report, 2)}
    assert cells["tflite-dynamic"][1] == "failed"
    assert set(cells["tflite-dynamic"][2:]) == {"-"}
    assert cells["reference"][-1] == "-"
    assert cells["tflite-float32"][-1] == "20/20"


def test_the_markdown_is_a_table_with_a_line_for_every_case(report: Report) -> None:
    table = markdown(report).split("\n\n")[1].splitlines()
    assert len(table) == 2 + len(report.cases) + len(report.failures)
    assert len({line.count("|") for line in table}) == 1


def test_the_verdict_the_machine_and_the_versions_stand_below_the_tables(report: Report) -> None:
    lines = footnotes(report)
    assert lines[-2:] == [
        "tflite-int8, 2 threads: keeps up at hop 1.0 s: yes, 86 times over",
        "tflite-int8, 2 threads: sub-second: yes (p99 17 ms)",
    ]
    assert str(report.machine) in lines
    assert any(line.startswith("python 3.11.7, tmgc 0.1.0, numpy") for line in lines)
    assert lines[0] == "tflite-dynamic failed, 2 threads: its process ended"


def test_a_case_that_is_too_slow_does_not_keep_up() -> None:
    verdict = Verdict.of(Latency.of([1600.0, 1600.0]), hop_s=1.0)
    assert verdict_lines(verdict, 1900.0) == [
        "keeps up at hop 1.0 s: no, 0.6 of the speed that is needed",
        "sub-second: no (p99 1900 ms)",
    ]


def test_late_predictions_batches_and_minutes_have_their_lines(report: Report) -> None:
    paced = Paced(hop_s=1.0, late_predictions=3, windows=50, lateness=Latency.of([2.0]))
    minutes = (Minute(Latency.of([2.0]), report.before), Minute(Latency.of([3.0]), report.after))
    changed = replace(
        report,
        method=replace(report.method, load="offline"),
        cases=(replace(report.cases[0], paced=paced),),
        sustained=Sustained("tflite-int8", 2, None, minutes),
        after=ThermalState(61.0, 1500.0, ("throttled",), 2, 1.0),
    )
    text = "\n".join(footnotes(changed))
    assert f"reference, 2 threads: {report.cases[0].windows_per_s:.2f} windows a second from files" in text
    assert "3 of 50 predictions after the next window was due; processing began 2.00 ms late (p99)" in text
    assert "tflite-int8 without a pause for 2 minutes: the last takes 1.50 times as long as the first" in text
    assert "None to 61.0 °C" in text
    assert "firmware: throttled" in text
    failed = replace(report, sustained=Sustained("tflite-int8", 2, "it fell", ()))
    assert "tflite-int8 could not be run for minutes: it fell" in footnotes(failed)


def test_the_page_needs_no_other_file(report: Report) -> None:
    page = html_report(report, [Plot("A plot", b"PNG")])
    references = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert len(references) == 1
    assert all(reference.startswith("data:image/png;base64,") for reference in references)


def test_the_page_shows_every_case_and_why_one_failed(report: Report) -> None:
    page = html_report(report)
    for case in report.cases:
        assert f"<td>{case.name}</td>" in page
        assert case.sha256 in page
    assert "The case tflite-dynamic failed, 2 threads: its process ended" in page
    assert "keeps up at hop 1.0 s" in page


def test_without_exports_the_page_names_no_fastest_export(report: Report) -> None:
    assert "tflite-int8 with 2 threads is the fastest export:" in html_report(report)
    page = html_report(replace(report, cases=report.cases[:1]))
    assert "reference with 2 threads is the fastest case:" in page
    assert "fastest export" not in page


def test_without_plots_the_page_has_its_tables(report: Report) -> None:
    page = html_report(report)
    assert "<img" not in page
    assert "tflite-float32" in page


def test_the_page_of_a_benchmark_where_every_case_failed_says_so(report: Report) -> None:
    page = html_report(replace(report, cases=(), speedups=()))
    assert "The case tflite-dynamic failed" in page
    assert "fastest export" not in page


def test_markup_in_a_name_is_text(report: Report) -> None:
    failure: Any = replace(report.failures[0], error="<script>")
    assert "<script>" not in html_report(replace(report, run="<script>", failures=(failure,)))
