//! The words of a site.

use super::origin::SITE_ORIGIN;
use super::{Default, Form, Table, Word};
use crate::site::{
    DEBUG_FROM_MAX, ERROR_PAGE_BYTES_MAX, HOSTS_MAX, PURGE_FROM_MAX, REFETCH_RATE_MAX, RULES_MAX,
};

pub static SITE: Table = Table {
    path: "site",
    about: "What a customer configures: which hosts, from which origin, cached how. A file for `seawall run \
            --config` holds one or more; the API takes the same words as JSON, one site a document.",
    words: &[
        Word {
            name: "name",
            form: Form::Text,
            default: Default::Required,
            about: "What metrics, purges and files call the site: 1 to 63 of `a-z 0-9 - _ .`, beginning with a \
                    letter or digit.",
        },
        Word {
            name: "hosts",
            form: Form::Texts { max: HOSTS_MAX },
            default: Default::Required,
            about: "The hosts it answers for, without ports: `www.example.com`; `*.example.com` for every host \
                    below `example.com`; `*` for every host no other site names. An exact host wins over a \
                    wildcard, a longer wildcard over a shorter.",
        },
        Word {
            name: "origin",
            form: Form::TextOrTable(&SITE_ORIGIN),
            default: Default::Required,
            about: "Where the content comes from: one URL such as `http://127.0.0.1:9000`, or the table \
                    `[site.origin]`.",
        },
        ON_PARTITION,
        Word {
            name: "refetch_rate",
            form: Form::Number {
                min: 1,
                max: REFETCH_RATE_MAX,
            },
            default: Default::Value("100"),
            about: "How many requests a second one edge sends the origin for what it may not answer from its cache: \
                    while it is cut off, where `on_partition` is `\"revalidate\"`; and, counted apart, for a \
                    `Seawall-Min-Revision` that it has not reached. What comes faster waits for at most a second; \
                    then the one is answered 503, and the other as if it had not asked for a revision.",
        },
        Word {
            name: "cache",
            form: Form::Table(&SITE_CACHE),
            default: Default::None("every word's default"),
            about: "How responses are cached where no rule says otherwise.",
        },
        Word {
            name: "error_page",
            form: Form::Table(&SITE_ERROR_PAGE),
            default: Default::None("a line of plain text that says what is wrong"),
            about: "What a client reads where there is no answer from the origin and nothing to serve in its place.",
        },
        Word {
            name: "client_ca",
            form: Form::Pem,
            default: Default::None("no certificate is asked for"),
            about: "The authorities that sign the certificates of its clients, in PEM, as text, not as the name of a \
                    file. Who shows none of theirs gets no TLS connection for these hosts, and a 403 over HTTP.",
        },
        Word {
            name: "websocket",
            form: Form::Switch,
            default: Default::Value("false"),
            about: "Whether clients may turn a connection into a web socket with the origin. `false`: such a wish is \
                    ignored, and the request answered like any other.",
        },
        Word {
            name: "debug_from",
            form: Form::Texts {
                max: DEBUG_FROM_MAX,
            },
            default: Default::None("nobody"),
            about: "Which clients are told, in `Cache-Status`, the key of an answer and the detail of why it was not \
                    stored or failed: addresses and blocks of them, `127.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.",
        },
        Word {
            name: "purge_from",
            form: Form::Texts {
                max: PURGE_FROM_MAX,
            },
            default: Default::None("nobody"),
            about: "Which clients may purge a URL of this site where it is served, with the method `PURGE`: addresses \
                    and blocks of them. An edge passes it on to a control plane, and every edge purges it. Where \
                    nobody may, `PURGE` is a method like any other, for the origin.",
        },
        Word {
            name: "rule",
            form: Form::Tables {
                table: &SITE_RULE,
                min: 0,
                max: RULES_MAX,
            },
            default: Default::None("no rules"),
            about: "What differs on some paths, in order: the first whose path matches decides.",
        },
    ],
};

pub(super) static SITE_CACHE: Table = Table {
    path: "site.cache",
    about: "How a site's responses are cached where no rule says otherwise.",
    words: &[
        DEFAULT_TTL,
        NEGATIVE_TTL,
        SET_COOKIE,
        CLIENT_DIRECTIVES,
        SURROGATE_CONTROL,
        COLLAPSE,
        STALE_WHILE_REVALIDATE,
        STALE_IF_ERROR,
        COMPRESS,
    ],
};

pub(super) static SITE_ERROR_PAGE: Table = Table {
    path: "site.error_page",
    about: "The body of the 502, 503 and 504 that an edge answers by itself: the origin cannot be reached, does not answer \
            in time, or says what is no HTTP. What the origin itself answers with such a status goes on as it is. The page \
            is never stored, neither here nor by clients (`Cache-Control: no-store`).",
    words: &[
        Word {
            name: "body",
            form: Form::Lines {
                bytes_max: ERROR_PAGE_BYTES_MAX,
            },
            default: Default::Required,
            about: "The page. `{status}` in it becomes the status: `502`.",
        },
        Word {
            name: "content_type",
            form: Form::Text,
            default: Default::Value("\"text/html; charset=utf-8\""),
            about: "What it is.",
        },
    ],
};

pub(super) static SITE_RULE: Table = Table {
    path: "site.rule",
    about: "What differs on some paths. The first rule whose `path` matches decides; a word it leaves out is as \
            the site says it.",
    words: &[
        Word {
            name: "path",
            form: Form::Text,
            default: Default::Required,
            about: "Which paths, without the query: begins with `/` or `*`, and `*` stands for any run of \
                    characters: `/static/*`, `*.jpg`.",
        },
        Word {
            name: "cache",
            form: Form::OneOf(&["on", "off"]),
            default: Default::Value("\"on\""),
            about: "`off`: every request goes to the origin and nothing is stored.",
        },
        of_rule(DEFAULT_TTL),
        of_rule(NEGATIVE_TTL),
        of_rule(SET_COOKIE),
        of_rule(CLIENT_DIRECTIVES),
        of_rule(SURROGATE_CONTROL),
        of_rule(COLLAPSE),
        of_rule(STALE_WHILE_REVALIDATE),
        of_rule(STALE_IF_ERROR),
        of_rule(COMPRESS),
        of_rule(ON_PARTITION),
    ],
};

/// A word of the site, as a rule overrides it.
const fn of_rule(word: Word) -> Word {
    Word {
        default: Default::None("the site's"),
        ..word
    }
}

const DEFAULT_TTL: Word = Word {
    name: "default_ttl",
    form: Form::Duration,
    default: Default::None("such responses are judged by HTTP's own rules"),
    about: "How long a response is fresh that says nothing of freshness itself. Overrides no directive.",
};

const NEGATIVE_TTL: Word = Word {
    name: "negative_ttl",
    form: Form::Duration,
    default: Default::None(
        "they are stored only where they say so themselves, or by HTTP's heuristic",
    ),
    about: "How long a 404 or 410 is fresh that says nothing of freshness itself; at most `\"10s\"`.",
};

const SET_COOKIE: Word = Word {
    name: "set_cookie",
    form: Form::OneOf(&["refuse", "store", "strip"]),
    default: Default::Value("\"refuse\""),
    about: "What to do with a response that carries `Set-Cookie`: not store it; store it with the cookie when its \
            freshness is explicit; store and send it without the cookie.",
};

const CLIENT_DIRECTIVES: Word = Word {
    name: "client_directives",
    form: Form::OneOf(&["ignore", "honour"]),
    default: Default::Value("\"ignore\""),
    about: "Whether a client's `Cache-Control` and `Pragma` are obeyed (`only-if-cached` and `no-transform` always \
            are).",
};

const SURROGATE_CONTROL: Word = Word {
    name: "surrogate_control",
    form: Form::Switch,
    default: Default::Value("false"),
    about: "Whether the origin's `Surrogate-Control` decides before `Cache-Control`.",
};

const COLLAPSE: Word = Word {
    name: "collapse",
    form: Form::Switch,
    default: Default::Value("true"),
    about: "Whether requests for the same thing wait for one fetch and read it while it arrives. `false`: each that \
            finds nothing stored fetches for itself.",
};

const STALE_WHILE_REVALIDATE: Word = Word {
    name: "stale_while_revalidate",
    form: Form::Duration,
    default: Default::None("none"),
    about: "How long after its freshness an object is still served while it is fetched again, for responses that \
            do not say it themselves.",
};

const STALE_IF_ERROR: Word = Word {
    name: "stale_if_error",
    form: Form::Duration,
    default: Default::None("none"),
    about: "How long after its freshness an object is still served when the origin fails, for responses that do \
            not say it themselves.",
};

const COMPRESS: Word = Word {
    name: "compress",
    form: Form::SomeOf(&["zstd", "br", "gzip"]),
    default: Default::Value("[]"),
    about: "The codings an edge may put text, scripts, fonts and the like into where the origin did not; the first \
            that a client likes best is used. Such an answer has a weak `ETag`; ranges are always of the bytes as the \
            origin sent them. Leave it empty where a page holds a secret (a token, say) and also repeats what its \
            request says: its compressed length tells a listener about the secret, also over TLS (BREACH).",
};

const ON_PARTITION: Word = Word {
    name: "on_partition",
    form: Form::OneOf(&["serve", "revalidate", "refuse"]),
    default: Default::Value("\"serve\""),
    about: "What an edge does while it is cut off from the control plane for so long that it may have missed a \
            purge: go on; fetch everything again; answer 503.",
};
