//! The required and optimal tests that Seawall does not pass on purpose, each with the sentence that says why. The
//! released suite is older than the RFCs of 2022, which decide.

use super::score::Verdict;

/// Tests failed for one reason.
pub struct Difference {
    pub tests: &'static [&'static str],
    /// Where the sentence stands.
    pub section: &'static str,
    pub sentence: &'static str,
    /// What follows from it; a sentence too.
    pub so: &'static str,
}

pub const EXPECTED: &[Difference] = &[
    Difference {
        tests: &[
            "age-parse-dup-0",
            "age-parse-dup-0-twoline",
            "age-parse-dup-old",
            "age-parse-prefix-twoline",
        ],
        section: "RFC 9111 §5.1",
        sentence: "a cache encountering a message with a list-based Age field value SHOULD use the first member of \
                   the field value, discarding subsequent ones",
        so: "The first member is a fresh age; the tests want any list to make the response stale.",
    },
    Difference {
        tests: &[
            "age-parse-float",
            "age-parse-negative",
            "age-parse-nonnumeric",
            "age-parse-numeric-parameter",
            "age-parse-parameter",
        ],
        section: "RFC 9111 §5.1",
        sentence: "If the field value (after discarding additional members, as per above) is invalid (e.g., it \
                   contains something other than a non-negative integer), a cache SHOULD ignore the field.",
        so: "Without the field the response is fresh; the tests want it stale.",
    },
    Difference {
        tests: &["304-etag-update-response-ETag"],
        section: "RFC 9111 §4.3.4",
        sentence: "If none of the initial set contains at least one of the same strong validators, then the cache \
                   MUST NOT use the new response to update any stored responses.",
        so: "A 304 with another strong ETag selects nothing, and the whole response is asked for; the test takes \
             that second question for a retry.",
    },
    Difference {
        tests: &["conditional-lm-fresh-no-lm"],
        section: "RFC 9111 §4.3.2",
        sentence: "If a request contains an If-Modified-Since header field and the Last-Modified header field is not \
                   present in a stored response, a cache SHOULD use the stored response's Date field value",
        so: "Its Date is later than the If-Modified-Since of the test: modified, so 200 and not 304.",
    },
    Difference {
        tests: &["vary-normalise-lang-select"],
        section: "RFC 9111 §4.1",
        sentence: "the cache MUST NOT use that stored response without revalidation unless all the presented request \
                   header fields nominated by that Vary field value match those fields in the original request",
        so: "`en, de` and `fr;q=0.5, de;q=1.0` are different wishes: only the origin knows what it would answer.",
    },
    Difference {
        tests: &[
            "stale-close-must-revalidate",
            "stale-close-no-cache",
            "stale-close-proxy-revalidate",
            "stale-close-s-maxage=2",
        ],
        section: "RFC 9111 §5.2.2.2",
        sentence: "if a cache is disconnected, the cache MUST generate an error response rather than reuse the stale \
                   response",
        so: "The edge generates it; the tests wait for an answer of the origin, which closes the connection without \
             one, and count only when stale-close, a mere question, is answered with yes: no cache passes them.",
    },
    Difference {
        tests: &[
            "partial-store-partial-reuse-partial",
            "partial-store-partial-reuse-partial-absent",
            "partial-store-partial-reuse-partial-byterange",
            "partial-store-partial-reuse-partial-suffix",
        ],
        section: "RFC 9110 §15.3.7.1",
        sentence: "the server generating the 206 response MUST generate a Content-Range header field, describing \
                   what range of the selected representation is enclosed, and a content consisting of the range",
        so: "Decision: the suite's `bytes 4-9/10` names six bytes and its content has five, so it is not kept.",
    },
    Difference {
        tests: &[
            "304-etag-update-response-Set-Cookie",
            "headers-store-Set-Cookie",
            "other-set-cookie",
        ],
        section: "RFC 9111 §7.3",
        sentence: "Servers that wish to control caching of these responses are encouraged to emit appropriate \
                   Cache-Control response header fields",
        so: "Decision: many servers do not, and one client's cookie given to another is worse than a miss; \
             `set_cookie = \"refuse\"` is the default, a site may say \"store\" or \"strip\".",
    },
    Difference {
        tests: &["headers-store-Transfer-Encoding"],
        section: "RFC 9112 §6.3",
        sentence: "If a Transfer-Encoding header field is present in a response and the chunked transfer coding is \
                   not the final encoding, the message body length is determined by reading the connection until it \
                   is closed by the server.",
        so: "Decision: a body in a coding that nobody here can decode, and whose end cannot be told from a broken \
             connection, is refused with 502.",
    },
];

/// Not yet: to be mended, and no reason to keep a test red until then. What passes is taken out.
pub const NOT_YET: &[&str] = &[];

/// What is failed without a reason, and reasons that explain nothing; each in words.
pub fn problems(expected: &[Difference], not_yet: &[&str], verdicts: &[Verdict]) -> Vec<String> {
    let explained: Vec<_> = expected
        .iter()
        .flat_map(|difference| difference.tests)
        .chain(not_yet)
        .collect();
    let mut problems = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.counts()) {
        let id = &verdict.id;
        let times = explained.iter().filter(|test| **test == id).count();
        match (&verdict.failure, times) {
            (None, 0) | (Some(_), 1) => {}
            (Some(why), 0) => problems.push(format!("{id} fails and is not expected to: {why}")),
            (None, _) => problems.push(format!("{id} passes: it is no difference any more")),
            (Some(_), times) => problems.push(format!("{id} is explained {times} times")),
        }
    }
    let is_asked = |id: &str| verdicts.iter().any(|v| v.counts() && v.id == id);
    let unknown = explained.into_iter().filter(|id| !is_asked(id));
    problems.extend(unknown.map(|id| format!("{id} is no required or optimal test")));
    problems
}

#[cfg(test)]
mod tests {
    use super::super::score::Kind;
    use super::*;

    #[test]
    fn a_failure_is_explained_once_and_nothing_else_is() {
        let verdict = |kind, passed: bool| Verdict {
            group: "g".to_owned(),
            id: "a".to_owned(),
            kind,
            failure: (!passed).then(|| "it was stale".to_owned()),
        };
        let check =
            |tests: &'static [&str], not_yet: &[&str], verdict: Verdict, expect: &[&str]| {
                let difference = Difference {
                    tests,
                    section: "RFC 9111 §1",
                    sentence: "",
                    so: "",
                };
                assert_eq!(problems(&[difference], not_yet, &[verdict]), expect);
            };
        check(&[], &[], verdict(Kind::Required, true), &[]);
        check(&["a"], &[], verdict(Kind::Required, false), &[]);
        check(&[], &["a"], verdict(Kind::Optimal, false), &[]);
        check(&[], &[], verdict(Kind::Check, false), &[]);
        check(
            &[],
            &[],
            verdict(Kind::Required, false),
            &["a fails and is not expected to: it was stale"],
        );
        check(
            &["a"],
            &[],
            verdict(Kind::Required, true),
            &["a passes: it is no difference any more"],
        );
        check(
            &["a"],
            &["a"],
            verdict(Kind::Optimal, false),
            &["a is explained 2 times"],
        );
        check(
            &["b"],
            &[],
            verdict(Kind::Required, true),
            &["b is no required or optimal test"],
        );
        check(
            &["a"],
            &[],
            verdict(Kind::Check, false),
            &["a is no required or optimal test"],
        );
    }
}
