//! The words of `[site.origin]`.

use super::{Default, Form, Table, Word};
use crate::site::{
    Balance, ORIGIN_DENY_MAX, PRIORITY_MAX, REQUESTS_MAX, SERVERS_MAX, STATUSES_MAX,
};

pub(super) static SITE_ORIGIN: Table = Table {
    path: "site.origin",
    about: "The pool of servers behind a site, where one URL does not say enough.",
    words: &[
        Word {
            name: "host",
            form: Form::Text,
            default: Default::None("the host the client asked for"),
            about: "The `Host` the origin sees, with a port if it needs one.",
        },
        Word {
            name: "fetch_timeout",
            form: Form::Duration,
            default: Default::Value("\"10m\""),
            about: "How long an answer may take in all, however steadily it drips: from asking to its last byte, without \
                    the time in which a client was too slow to take it. At most `\"1d\"`. Apart from that a connection \
                    has to stand within 2 seconds, a head to be whole within 9, and no 9 seconds may pass without a byte.",
        },
        Word {
            name: "balance",
            form: Form::OneOf(&Balance::WORDS),
            default: Default::Value("\"round_robin\""),
            about: "Which of the servers that are in order gets a request: each in turn; of two drawn at \
                    random the one with fewer requests under way; or, by `hash`, the same one for the same \
                    URL, unless that has a quarter more to do than its share.",
        },
        Word {
            name: "http2",
            form: Form::Switch,
            default: Default::Value("false"),
            about: "Whether servers with `https` are offered HTTP/2; one that does not take it is spoken to \
                    in HTTP/1.1.",
        },
        Word {
            name: "max_requests",
            form: Form::Number {
                min: 1,
                max: REQUESTS_MAX,
            },
            default: Default::Value("8192"),
            about: "How many requests one edge may have under way to the pool.",
        },
        Word {
            name: "max_pending",
            form: Form::Number {
                min: 0,
                max: REQUESTS_MAX,
            },
            default: Default::Value("1024"),
            about: "How many more wait until one of those ends. Further ones are answered 503 at once.",
        },
        Word {
            name: "pending_timeout",
            form: Form::Duration,
            default: Default::Value("\"1s\""),
            about: "How long one waits; then it is answered 503.",
        },
        Word {
            name: "retry_budget",
            form: Form::Number { min: 0, max: 100 },
            default: Default::Value("20"),
            about: "How many second tries there may be, in percent of the requests; ten are allowed in any \
                    case, and one more each second. Only GET and HEAD are tried again, and only where not a \
                    byte of an answer has come.",
        },
        Word {
            name: "panic_below",
            form: Form::Number { min: 0, max: 100 },
            default: Default::Value("25"),
            about: "When fewer servers of a priority than this, in percent, are in order, the next priority \
                    is asked; and when none has so many, all servers of the best are asked as if they were \
                    in order: better a slow answer than the last server crushed. `0`: never.",
        },
        Word {
            name: "dns_refresh",
            form: Form::Duration,
            default: Default::Value("\"30s\""),
            about: "How often a server's name is looked up again, give or take a tenth. The system's \
                    resolver does not say how long an answer holds. When a lookup fails, the last good \
                    answer stays in use.",
        },
        Word {
            name: "origin_deny",
            form: Form::Texts {
                max: ORIGIN_DENY_MAX,
            },
            default: Default::None("only what no origin may have"),
            about: "Addresses and blocks that no server may have, looked at each time an edge connects: \
                    `10.0.0.0/8`. Link-local, metadata and multicast addresses and the edge's own are always \
                    refused.",
        },
        Word {
            name: "server",
            form: Form::Tables {
                table: &SITE_ORIGIN_SERVER,
                min: 1,
                max: SERVERS_MAX,
            },
            default: Default::Required,
            about: "The servers, each a `[[site.origin.server]]`.",
        },
        Word {
            name: "tls",
            form: Form::Table(&SITE_ORIGIN_TLS),
            default: Default::None("every word's default"),
            about: "How servers with `https` are trusted.",
        },
        Word {
            name: "health",
            form: Form::Table(&SITE_ORIGIN_HEALTH),
            default: Default::None("servers are not checked"),
            about: "How every edge checks each server, requests or not.",
        },
        Word {
            name: "ejection",
            form: Form::Table(&SITE_ORIGIN_EJECTION),
            default: Default::None("every word's default"),
            about: "When a server that answers badly gets no requests for a while.",
        },
        Word {
            name: "breaker",
            form: Form::Table(&SITE_ORIGIN_BREAKER),
            default: Default::None("a server that fails is asked all the same"),
            about: "When a server that fails is left alone, also where it is the only one.",
        },
    ],
};

pub(super) static SITE_ORIGIN_SERVER: Table = Table {
    path: "site.origin.server",
    about: "One server of the pool.",
    words: &[
        Word {
            name: "url",
            form: Form::Text,
            default: Default::Required,
            about: "Scheme, host and port: `https://a.example.com`, `http://[::1]:9000`. The port is 80 or \
                    443 unless it says another. No path and no query: the client's are sent.",
        },
        Word {
            name: "weight",
            form: Form::Number { min: 1, max: 1000 },
            default: Default::Value("1"),
            about: "Its share of the requests, against the others'.",
        },
        Word {
            name: "priority",
            form: Form::Number {
                min: 0,
                max: PRIORITY_MAX,
            },
            default: Default::Value("0"),
            about: "Servers of a higher number are asked only when too few of a lower are in order: see \
                    `panic_below`.",
        },
        Word {
            name: "max_requests",
            form: Form::Number {
                min: 1,
                max: REQUESTS_MAX,
            },
            default: Default::None("as many as the pool may have"),
            about: "How many requests one edge may have under way to it.",
        },
        Word {
            name: "max_connections",
            form: Form::Number {
                min: 1,
                max: REQUESTS_MAX,
            },
            default: Default::None("as many as its requests need"),
            about: "How many connections one edge may use to it at once. Over HTTP/1.1 each request under \
                    way has one; over HTTP/2 a hundred share one.",
        },
    ],
};

pub(super) static SITE_ORIGIN_TLS: Table = Table {
    path: "site.origin.tls",
    about: "How servers with `https` are trusted.",
    words: &[
        Word {
            name: "verify",
            form: Form::Switch,
            default: Default::Value("true"),
            about: "Whether the server's certificate must be valid. `false` lets anyone on the way answer \
                    for the origin.",
        },
        Word {
            name: "server_name",
            form: Form::Text,
            default: Default::None("the host in the server's URL"),
            about: "The name asked for (SNI) and verified in the certificate.",
        },
        Word {
            name: "ca",
            form: Form::Pem,
            default: Default::None("the system's authorities"),
            about: "The authorities trusted instead of the system's: their certificates in PEM, as text, not \
                    as the name of a file.",
        },
        Word {
            name: "client_certificate",
            form: Form::Pem,
            default: Default::None("the edge shows none"),
            about: "What an edge shows a server that asks who it is: the certificate in PEM, and after it \
                    those that lead to its authority.",
        },
        Word {
            name: "client_key",
            form: Form::PemKey,
            default: Default::None("the edge shows none"),
            about: "Its private key in PEM. It is part of the site's document: who may read sites may read \
                    it.",
        },
    ],
};

pub(super) static SITE_ORIGIN_HEALTH: Table = Table {
    path: "site.origin.health",
    about: "How every edge checks each server, requests or not, on a connection of its own.",
    words: &[
        Word {
            name: "type",
            form: Form::OneOf(&["http", "tcp"]),
            default: Default::Value("\"http\""),
            about: "`http`: it answers a GET as expected. `tcp`: it accepts a connection.",
        },
        Word {
            name: "path",
            form: Form::Text,
            default: Default::Value("\"/\""),
            about: "What is asked for, with a query if need be.",
        },
        Word {
            name: "expect_status",
            form: Form::Texts { max: STATUSES_MAX },
            default: Default::None("\"200-299\""),
            about: "Statuses that pass, and ranges of them: `[\"200\", \"301-302\"]`.",
        },
        Word {
            name: "expect_body",
            form: Form::Text,
            default: Default::None("any body passes"),
            about: "A text that the first 64 KiB of the body hold.",
        },
        Word {
            name: "interval",
            form: Form::Duration,
            default: Default::Value("\"5s\""),
            about: "Between two checks of a server, give or take a tenth; at least 100 ms.",
        },
        Word {
            name: "timeout",
            form: Form::Duration,
            default: Default::Value("\"2s\""),
            about: "How long a check may take, from connecting on; at most a minute.",
        },
        Word {
            name: "healthy_after",
            form: Form::Number { min: 1, max: 100 },
            default: Default::Value("2"),
            about: "How many checks in a row pass until a server that was down is in order.",
        },
        Word {
            name: "unhealthy_after",
            form: Form::Number { min: 1, max: 100 },
            default: Default::Value("3"),
            about: "How many fail until it is down.",
        },
    ],
};

pub(super) static SITE_ORIGIN_EJECTION: Table = Table {
    path: "site.origin.ejection",
    about: "When a server that answers badly gets no requests for a while, where there are others. A \
            failure is no answer, a broken one, or a status of 500, 502, 503 or 504.",
    words: &[
        Word {
            name: "consecutive_failures",
            form: Form::Number { min: 0, max: 1000 },
            default: Default::Value("5"),
            about: "How many failures in a row eject a server. `0`: none do.",
        },
        Word {
            name: "interval",
            form: Form::Duration,
            default: Default::Value("\"10s\""),
            about: "How often the servers are compared.",
        },
        Word {
            name: "requests_min",
            form: Form::Number {
                min: 1,
                max: REQUESTS_MAX,
            },
            default: Default::Value("20"),
            about: "A server with fewer answers in an interval is not compared.",
        },
        Word {
            name: "success_rate",
            form: Form::Number { min: 0, max: 100 },
            default: Default::Value("25"),
            about: "A server is ejected whose rate of success is so many percentage points below the median \
                    of the others. `0`: none is.",
        },
        Word {
            name: "latency",
            form: Form::Number { min: 0, max: 1000 },
            default: Default::Value("5"),
            about: "A server is ejected that takes so many times as long as the median of the others until \
                    an answer begins, and 100 ms at least. `0`: none is.",
        },
        Word {
            name: "time",
            form: Form::Duration,
            default: Default::Value("\"30s\""),
            about: "For how long; each time again as long more, and less again after a time in good order.",
        },
        Word {
            name: "time_max",
            form: Form::Duration,
            default: Default::Value("\"5m\""),
            about: "For how long at most.",
        },
        Word {
            name: "share_max",
            form: Form::Number { min: 0, max: 100 },
            default: Default::Value("50"),
            about: "How many servers may be ejected at once, in percent; where there are two or more, one \
                    always may. `0`: none is ejected.",
        },
    ],
};

pub(super) static SITE_ORIGIN_BREAKER: Table = Table {
    path: "site.origin.breaker",
    about: "When a server that fails is left alone, also where it is the only one. While all servers \
            are, requests get what is stored, if it may be used, or 503 at once.",
    words: &[
        Word {
            name: "failures",
            form: Form::Number { min: 1, max: 1000 },
            default: Default::Value("5"),
            about: "How many failures in a row open the breaker of a server.",
        },
        Word {
            name: "open",
            form: Form::Duration,
            default: Default::Value("\"1s\""),
            about: "How long it gets no request. Then it is half-open.",
        },
        Word {
            name: "probes",
            form: Form::Number { min: 1, max: 100 },
            default: Default::Value("1"),
            about: "How many requests try, half-open, whether it is back. When all succeed the breaker is \
                    closed; when one fails it is open again.",
        },
    ],
};
