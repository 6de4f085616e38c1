//! Which content codings a client takes, and how much it likes them (RFC 9110 §12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap};
use seawall_config::site::ContentCoding;

use super::fields::texts;

/// What one `Accept-Encoding` says. Weights are in thousandths; 0 is "not acceptable".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    zstd: Option<u16>,
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// `*`
    others: Option<u16>,
}

impl Accepted {
    /// None where there is no such field: §12.5.3 then allows any coding, but who cannot decode says nothing either.
    pub fn read(request: &HeaderMap) -> Option<Self> {
        request.contains_key(ACCEPT_ENCODING).then(|| {
            let mut found = Self::default();
            let lines = texts(request, ACCEPT_ENCODING);
            lines
                .iter()
                .flat_map(|line| line.split(','))
                .for_each(|member| found.take(member));
            found
        })
    }

    /// The first of `offered` that nothing else is liked better than; None where that is no coding at all.
    pub fn best(self, offered: &[ContentCoding]) -> Option<ContentCoding> {
        let weight = |coding: &ContentCoding| self.weight(*coding);
        let most = offered.iter().map(weight).max()?;
        // "If the representation has no content coding, then it is acceptable by default": so it is what is left
        // where no weight says more of it.
        let plain = self.identity.or(self.others).unwrap_or_default();
        let best = offered.iter().find(|coding| weight(coding) == most);
        best.copied().filter(|_| most > 0 && most >= plain)
    }

    /// Whether a body in this coding, as a response names it, is acceptable.
    pub fn takes(self, coding: &str) -> bool {
        let listed = match coding.to_ascii_lowercase().as_str() {
            "" | "identity" => return true,
            "zstd" => self.zstd,
            "br" => self.brotli,
            "gzip" | "x-gzip" => self.gzip,
            _ => None,
        };
        listed.or(self.others).is_some_and(|weight| weight > 0)
    }

    fn weight(self, coding: ContentCoding) -> u16 {
        let listed = match coding {
            ContentCoding::Zstd => self.zstd,
            ContentCoding::Brotli => self.brotli,
            ContentCoding::Gzip => self.gzip,
        };
        // "The asterisk "*" symbol … matches any available content coding not explicitly listed in the field."
        listed.or(self.others).unwrap_or_default()
    }

    fn take(&mut self, member: &str) {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let slot = match name.as_str() {
            "zstd" => &mut self.zstd,
            "br" => &mut self.brotli,
            // §8.4.1.3: "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
            "gzip" | "x-gzip" => &mut self.gzip,
            "identity" => &mut self.identity,
            "*" => &mut self.others,
            _ => return,
        };
        let weights = parts.filter_map(|part| part.split_once('='));
        let mut weights = weights.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let weight = weights
            .next()
            .map_or(1000, |(_, value)| thousandths(value.trim()).unwrap_or(0));
        // Said twice: what is refused once is not sent.
        *slot = Some(slot.map_or(weight, |before| before.min(weight)));
    }
}

/// §12.4.2: `0`, `0.5`, `0.125`, `1`, `1.000`. What reads otherwise is no weight.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_coding_wins_and_the_sites_order_breaks_ties() {
        let check = |section: &str, said: &str, expect: &str| {
            let request: HeaderMap = said
                .split('|')
                .map(|line| (ACCEPT_ENCODING, line.parse().unwrap()))
                .collect();
            let best = Accepted::read(&request).unwrap().best(&ContentCoding::ALL);
            let found = best.map_or("identity", ContentCoding::as_str);
            assert_eq!(found, expect, "{section}: {said}");
        };
        check("9110 12.5.3", "gzip", "gzip");
        check("9110 12.5.3", "gzip, br", "br");
        check("9110 12.5.3", "gzip, deflate, br, zstd", "zstd");
        check("9110 12.5.3", "gzip|br", "br");
        check("9110 12.5.3", "br;q=0.9, gzip", "gzip");
        check("9110 12.5.3", "zstd;q=0.5, br;q=0.5", "zstd");
        check("9110 12.5.3", "", "identity");
        check("9110 12.5.3", "deflate, compress", "identity");
        check("9110 12.5.3", "identity", "identity");
        check("9110 12.5.3", "*", "zstd");
        check("9110 12.5.3", "*;q=0.5, br", "br");
        check("9110 12.5.3", "*, zstd;q=0", "br");
        check("9110 12.5.3", "gzip;q=0, *;q=0", "identity");
        check("9110 12.5.3", "gzip;q=0", "identity");
        check("9110 12.5.3", "identity;q=0, gzip;q=0.1", "gzip");
        check("9110 12.5.3", "*;q=0, gzip", "gzip");
        check("9110 12.5.3", "identity;q=0, *;q=0", "identity");
        check("9110 12.5.3", "identity, gzip", "gzip");
        check("9110 12.5.3", "identity, gzip;q=0.9", "identity");
        check("9110 12.5.3", "identity;q=0.5, gzip;q=0.5", "gzip");
        check("9110 8.4.1", "GZip", "gzip");
        check("9110 8.4.1.3", "x-gzip", "gzip");
        check("9110 8.4.1.3", "x-gzip, gzip;q=0", "identity");
        check("9110 12.4.2", "gzip;q=0.001", "gzip");
        check("9110 12.4.2", "gzip ; Q=0.5 , br;q=0.499", "gzip");
        check("9110 12.4.2", "gzip;q=1.000, br;q=0.999", "gzip");
        check("9110 12.4.2", "gzip;level=9", "gzip");
        for no_weight in [
            "", "-1", "1.5", "2", "0.0001", ".5", "+0.5", "0,5", "x", "0.é",
        ] {
            check("9110 12.4.2", &format!("gzip;q={no_weight}"), "identity");
        }
        check("9110 5.6.1", ",, gzip ,,", "gzip");
        check("9110 5.6.1", ";;,;q=1,=", "identity");
    }

    #[test]
    fn who_says_nothing_takes_nothing() {
        assert_eq!(Accepted::read(&HeaderMap::new()), None);
    }
}
