//! `seawall explain`: what an edge would do with a request, and why. Nothing is fetched to find out.

use clap::Args;
use http::StatusCode;
use seawall_edge::Report;
use serde_json::json;

use crate::cli::Server;
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::exit::{Exit, Failure};
use crate::explain::PATH;
use crate::print;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seawall explain http://127.0.0.1:8080/
  seawall explain https://www.example.com/news -H 'Accept-Language: de' -H 'Range: bytes=0-99'
  seawall explain http://127.0.0.1:8081/pages/42 --server http://127.0.0.1:9081

An edge answers, on its own admin address; `seawall run` has one address for all. Of several edges each
has its own cache, so each has its own answer: STATE/addresses.json says where they are.")]
pub(crate) struct ExplainArgs {
    /// What a client would ask for, with its scheme and host
    url: String,
    /// A field the client would send; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(String, String)>,
    /// The method it would use
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Print what the edge said, in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(args: ExplainArgs) -> Result<Exit, Failure> {
    let ExplainArgs {
        url,
        headers,
        method,
        json,
        server,
    } = args;
    if !url.contains("://") {
        return Err(Exit::Usage.because(format!("{url:?} has no scheme: write http://{url}")));
    }
    let question = json!({"url": url, "method": method, "headers": headers});
    let client = Client::new(&server)?;
    let answer = client.post(PATH, &question, None, ANSWER_TIMEOUT).await?;
    if answer.status == StatusCode::NOT_FOUND {
        let at = &server.url;
        return Err(Exit::Failed.because(format!(
            "{at} has no edge to ask: it is a control plane alone. Name an edge's own admin address with --server; \
             STATE/addresses.json says where it is"
        )));
    }
    let report: Report = answer.json()?;
    if json {
        print::result(String::from_utf8_lossy(&answer.body).trim_end());
    } else {
        print::result(report.to_string().trim_end());
    }
    Ok(Exit::Done)
}

/// `Name: value`, as curl takes it.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    http::HeaderName::try_from(name.trim())
        .map_err(|_| format!("{:?} is no field's name", name.trim()))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
