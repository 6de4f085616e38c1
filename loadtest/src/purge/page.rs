//! The purge report as a page: for each cache a waterfall, a bar for every edge and round from the call to the last old
//! copy, with the receipt and the first new page on it.

use std::fmt::Write as _;

use super::verdict::{CacheReport, PurgeReport, Round};
use crate::report::html::{escape, head, section};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 200.0;
const ROW: f64 = 16.0;
/// Rows of one picture.
const ROWS_MAX: usize = 60;

pub fn page(report: &PurgeReport) -> String {
    let mut page = head(&format!("Purges of {}", report.path));
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<p class=sub>each edge asked {:.0} times a second</p>",
        report.probes_per_second
    );
    page.push_str("<table><tr><th>cache<th>purges<th>receipt, median<th>first new page, median<th>last old copy, most<th>old copies after the receipt</tr>");
    for cache in &report.caches {
        let shown =
            |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1} ms"));
        let median = |spread: Option<(f64, f64)>| shown(spread.map(|(median, _)| median));
        let most = |spread: Option<(f64, f64)>| shown(spread.map(|(_, most)| most));
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&cache.name),
            cache.rounds.len(),
            median(cache.spread(|round, _| Some(round.receipt_ms))),
            median(cache.spread(|_, edge| edge.first_fresh_ms)),
            most(cache.spread(|_, edge| edge.last_stale_ms)),
            cache.stale_after_receipt
        );
    }
    page.push_str("</table>");
    for cache in &report.caches {
        let title = format!("{}: purges", cache.name);
        section(
            &mut page,
            &escape(&title),
            "bar: old copies, from the call on; line: the receipt; dot: the first new page",
            &waterfall(cache),
        );
        if let Some(round) = cache
            .rounds
            .first()
            .filter(|round| !round.traffic.is_empty())
        {
            let title = format!(
                "{}: hit ratio and origin around the first purge",
                cache.name
            );
            section(
                &mut page,
                &escape(&title),
                "line: hit ratio; bars: requests per second that reached the origin",
                &around(round),
            );
        }
    }
    page.push_str("</main></html>\n");
    page
}

fn waterfall(cache: &CacheReport) -> String {
    let rows: Vec<_> = cache
        .rounds
        .iter()
        .flat_map(|round| round.edges.iter().map(move |edge| (round, edge)))
        .take(ROWS_MAX)
        .collect();
    let reach = rows.iter().map(|(round, edge)| {
        let seen = [edge.first_fresh_ms, edge.last_stale_ms];
        seen.into_iter().flatten().fold(round.receipt_ms, f64::max)
    });
    let most = reach.fold(1.0, f64::max) * 1.05;
    let x = |ms: f64| LEFT + (ms.clamp(0.0, most) / most) * (WIDTH - LEFT - 20.0);
    let height = ROW * rows.len() as f64 + 24.0;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=img>");
    for (at, (round, edge)) in rows.iter().enumerate() {
        let top = ROW * at as f64 + 2.0;
        let middle = top + ROW / 2.0 - 1.0;
        let _ = write!(
            svg,
            "<text x={:.0} y={:.1} text-anchor=end>{}</text>",
            LEFT - 8.0,
            middle + 4.0,
            escape(&edge.edge)
        );
        if let Some(stale) = edge.last_stale_ms {
            let _ = write!(
                svg,
                "<rect class=miss x={LEFT} y={top:.1} width={:.1} height={:.1} />",
                (x(stale) - LEFT).max(1.0),
                ROW - 4.0
            );
        }
        let _ = write!(
            svg,
            "<line class=axis x1={0:.1} x2={0:.1} y1={1:.1} y2={2:.1} />",
            x(round.receipt_ms),
            top,
            top + ROW - 4.0
        );
        if let Some(fresh) = edge.first_fresh_ms {
            let _ = write!(
                svg,
                "<circle class=hit cx={:.1} cy={middle:.1} r=4 />",
                x(fresh)
            );
        }
    }
    let _ = write!(
        svg,
        "<text x={LEFT} y={0:.1}>the call</text><text x={1:.1} y={0:.1} text-anchor=end>{most:.1} ms</text></svg>",
        height - 6.0,
        WIDTH - 20.0
    );
    svg
}

/// Second by second.
fn around(round: &Round) -> String {
    const HEIGHT: f64 = 140.0;
    let seconds: Vec<_> = round
        .traffic
        .iter()
        .filter(|second| second.requests_per_second > 0.0)
        .collect();
    let most = seconds
        .iter()
        .map(|second| second.origin_per_second)
        .fold(1.0, f64::max);
    let end = seconds.last().map_or(1.0, |second| second.at_s + 1.0);
    let x = |at: f64| 60.0 + at / end * (WIDTH - 120.0);
    let y = |share: f64| HEIGHT - 24.0 - share * (HEIGHT - 36.0);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>");
    let mut ratio = String::new();
    for second in seconds {
        let top = y(second.origin_per_second / most);
        let _ = write!(
            svg,
            "<rect class=miss opacity=.5 x={:.1} y={top:.1} width={:.1} height={:.1} />",
            x(second.at_s),
            x(1.0) - x(0.0) - 2.0,
            y(0.0) - top
        );
        let verb = if ratio.is_empty() { 'M' } else { 'L' };
        let _ = write!(
            ratio,
            "{verb}{:.1} {:.1}",
            x(second.at_s + 0.5),
            y(second.hit_ratio.unwrap_or(0.0))
        );
    }
    let _ = write!(
        svg,
        "<path class=hit style=\"fill:none\" d=\"{ratio}\"/><line class=axis x1={0:.1} x2={0:.1} y1=4 y2={1:.1} /><text x={2:.1} y=12>purge</text><text x=54 y=16 text-anchor=end>{most:.0}/s</text><text x={3:.1} y=16>100 %</text></svg>",
        x(round.called_s),
        y(0.0),
        x(round.called_s) + 4.0,
        WIDTH - 56.0
    );
    svg
}
