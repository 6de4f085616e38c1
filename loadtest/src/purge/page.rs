//! The purge report as a page: for each cache a waterfall, a bar for every edge and round from the call to the last old
//! copy, with the receipt and the first new page on it.

use std::fmt::Write as _;

use super::verdict::{CacheReport, PurgeReport, Round, Second};
use crate::report::Count;
use crate::report::html::frame::{Frame, nice_end};
use crate::report::html::{end, escape, head, key, section};

/// Room for the name of an edge.
const LEFT: f64 = 190.0;
const ROW: f64 = 18.0;
/// Above and below the rows.
const AROUND_ROWS: f64 = 60.0;
/// Rows of one picture.
const ROWS_MAX: usize = 60;
const AROUND_HEIGHT: f64 = 200.0;

pub fn page(report: &PurgeReport) -> String {
    let rounds = report.caches.iter().map(|cache| cache.rounds.len()).max();
    let how = format!(
        "{} purges of each cache, in turn · each edge asked {:.0} times a second",
        rounds.unwrap_or(0),
        report.probes_per_second
    );
    let mut page = head("Purges", &report.path, &how);
    if let Some(ended) = &report.ended {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<p class=void>Ended early: {}</p>",
            escape(&ended.why)
        );
    }
    table(&mut page, report);
    let waterfalls = report.caches.iter().map(|cache| reach(&rows(cache)));
    // One scale for all of them: what is longer takes longer.
    let most = nice_end(waterfalls.fold(1.0, f64::max));
    for cache in &report.caches {
        let words = [
            ("stale", "old copies, from the call on"),
            ("miss", "old copies after the receipt"),
            ("line", "the receipt"),
            ("hit", "the first new page"),
        ];
        let title = format!("{}: purges", cache.name);
        section(
            &mut page,
            &escape(&title),
            &verdict(cache),
            &(key(words) + &waterfall(cache, most)),
        );
        if let Some(picture) = around(&cache.rounds) {
            let title = format!("{}: hit ratio and origin around a purge", cache.name);
            let words = [
                ("ratio", "hit ratio"),
                ("miss", "requests that reached the origin"),
            ];
            let sub = "second by second, the mean of all rounds";
            section(&mut page, &escape(&title), sub, &(key(words) + &picture));
        }
    }
    end(&mut page);
    page
}

fn table(page: &mut String, report: &PurgeReport) {
    page.push_str(
        "<div class=wide><table><thead><tr><th>cache<th>purges<th>receipt, median<th>first new page, median\
         <th>last old copy, most<th>purges outlived<th>old copies after a receipt</thead><tbody>",
    );
    for cache in &report.caches {
        let shown =
            |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1} ms"));
        let median = |spread: Option<(f64, f64)>| shown(spread.map(|(median, _)| median));
        let most = |spread: Option<(f64, f64)>| shown(spread.map(|(_, most)| most));
        let bad = match cache.stale_after_receipt {
            0 => "",
            _ => " class=bad",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td{bad}>{}<td{bad}>{}",
            escape(&cache.name),
            cache.rounds.len(),
            median(cache.spread(|round, _| Some(round.receipt_ms))),
            median(cache.spread(|_, edge| edge.first_fresh_ms)),
            most(cache.spread(|_, edge| edge.last_stale_ms)),
            cache.outlived(),
            Count(cache.stale_after_receipt)
        );
    }
    page.push_str("</table></div>");
}

fn verdict(cache: &CacheReport) -> String {
    let mut said = match (cache.outlived(), cache.rounds.len()) {
        (0, _) => "no old copy was served after a receipt".to_owned(),
        (outlived, all) => format!(
            "<span class=bad>{outlived} of {all} purges were outlived by an old copy</span>"
        ),
    };
    for trouble in cache.troubles() {
        // Writing to a String cannot fail.
        let _ = write!(said, " · <span class=bad>{}</span>", escape(&trouble));
    }
    said
}

type Row<'a> = (&'a Round, &'a super::verdict::EdgeRound);

fn rows(cache: &CacheReport) -> Vec<Row<'_>> {
    let rows = cache
        .rounds
        .iter()
        .flat_map(|round| round.edges.iter().map(move |edge| (round, edge)));
    rows.take(ROWS_MAX).collect()
}

/// How far to the right the last thing is, in milliseconds.
fn reach(rows: &[Row<'_>]) -> f64 {
    let reach = rows.iter().map(|(round, edge)| {
        let seen = [edge.first_fresh_ms, edge.last_stale_ms];
        seen.into_iter().flatten().fold(round.receipt_ms, f64::max)
    });
    reach.fold(0.0, f64::max)
}

fn waterfall(cache: &CacheReport, most: f64) -> String {
    let rows = rows(cache);
    let height = ROW * rows.len() as f64 + AROUND_ROWS;
    let says = format!("Waterfall: what followed each purge of {}", cache.name);
    let mut frame = Frame::with_left(&says, height, LEFT);
    for mark in 0..=5 {
        let share = f64::from(mark) / 5.0;
        let ms = share * most;
        frame.column(share, &format!("{}", (ms * 10.0).round() / 10.0));
    }
    frame.names("", "milliseconds from the call", "");
    let x = |frame: &Frame, ms: f64| frame.x(ms / most);
    for (at, (round, edge)) in rows.iter().enumerate() {
        let top = frame.y(1.0) + ROW * at as f64;
        let (middle, high) = (top + ROW / 2.0, ROW - 6.0);
        let (start, receipt) = (frame.x(0.0), x(&frame, round.receipt_ms));
        let name = escape(&edge.edge);
        frame.draw(format_args!(
            "<text x={:.1} y={:.1} text-anchor=end>{name}</text>",
            start - 8.0,
            middle + 4.0
        ));
        if let Some(stale) = edge.last_stale_ms {
            let end = x(&frame, stale);
            let parts = [
                ("stale", start, end.min(receipt)),
                ("miss", receipt.min(end), end),
            ];
            for (class, from, to) in parts.into_iter().filter(|(_, from, to)| to > from) {
                frame.draw(format_args!(
                    "<rect class={class} x={from:.1} y={:.1} width={:.1} height={high} rx=2 />",
                    top + 3.0,
                    (to - from).max(1.0)
                ));
            }
        }
        frame.draw(format_args!(
            "<line class=axis x1={receipt:.1} x2={receipt:.1} y1={:.1} y2={:.1} />",
            top + 1.0,
            top + ROW - 1.0
        ));
        if let Some(fresh) = edge.first_fresh_ms {
            let at = x(&frame, fresh);
            frame.draw(format_args!(
                "<circle class=hit cx={at:.1} cy={middle:.1} r=4 />"
            ));
        }
    }
    frame.finish()
}

/// Second by second, the mean of all rounds; they have the same seconds.
fn around(rounds: &[Round]) -> Option<String> {
    let whole = |round: &Round| -> Vec<Second> {
        let seconds = round.traffic.iter();
        let whole = seconds.filter(|second| second.requests_per_second > 0.0);
        whole.cloned().collect()
    };
    let rounds_of: Vec<_> = rounds.iter().map(whole).collect();
    let length = rounds_of.iter().map(Vec::len).min()?;
    let called = rounds.first()?.called_s;
    let mean = |of: &dyn Fn(&Second) -> f64, at: usize| {
        let seconds = rounds_of.iter().filter_map(|seconds| seconds.get(at));
        seconds.map(of).sum::<f64>() / rounds_of.len() as f64
    };
    let seconds: Vec<_> = (0..length)
        .map(|at| {
            let origin = mean(&|second| second.origin_per_second, at);
            let ratio = mean(&|second| second.hit_ratio.unwrap_or(0.0), at);
            (at as f64, origin, ratio)
        })
        .collect();
    let end = length.max(1) as f64;
    let most = seconds.iter().map(|(_, origin, _)| *origin);
    let most = nice_end(most.fold(1.0, f64::max));
    let mut frame = Frame::new(
        "Bars: requests to the origin. Line: hit ratio",
        AROUND_HEIGHT,
    );
    frame.counts(most);
    frame.seconds(end);
    frame.names("to the origin, a second", "seconds", "hit ratio");
    for quarter in [0.0, 0.5, 1.0] {
        frame.beside(quarter, &format!("{:.0} %", 100.0 * quarter));
    }
    for (at, origin, _) in &seconds {
        let (top, bottom) = (frame.y(origin / most), frame.y(0.0));
        let (left, right) = (frame.x(at / end), frame.x((at + 1.0) / end));
        frame.draw(format_args!(
            "<rect class=miss x={:.1} y={top:.1} width={:.1} height={:.1} />",
            left + 1.0,
            right - left - 2.0,
            bottom - top
        ));
    }
    let points = seconds
        .iter()
        .map(|(at, _, ratio)| ((at + 0.5) / end, *ratio));
    frame.curve("ratio", points.collect::<Vec<_>>());
    let (x, top, bottom) = (frame.x(called / end), frame.y(1.0), frame.y(0.0));
    frame.draw(format_args!(
        "<line class=axis x1={x:.1} x2={x:.1} y1={top:.1} y2={bottom:.1} /><text x={:.1} y={:.1}>the purge</text>",
        x + 6.0,
        top + 12.0
    ));
    Some(frame.finish())
}
