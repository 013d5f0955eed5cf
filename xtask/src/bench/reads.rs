//! Catalogue requests per second against a web server that has the same bytes as files: the same tool, the same cores,
//! turn by turn.

use anyhow::{Context, Result, ensure};

use super::nginx::{File, Nginx};
use super::programs::{Bench, Disk};
use super::report::{Figure, Goal, Number, Peer, Report};
use super::shop::get;
use super::wrk::requests_per_second;

/// What is asked for.
struct Question {
    name: &'static str,
    path: &'static str,
}

const QUESTIONS: [Question; 2] = [
    Question { name: "brands of a country (1,200)", path: "/v2/brands?country_code=US" },
    Question { name: "products of a brand", path: "/v5/products/country/US?family_name=Amber%20Anchor&coin=USDC" },
];

/// How the bytes travel.
struct Form {
    name: &'static str,
    encoding: Option<&'static str>,
    header: &'static str,
    goal: Goal,
    seconds: u32,
}

const FORMS: [Form; 2] = [
    Form {
        name: "plain",
        encoding: None,
        header: "Accept-Encoding: identity",
        goal: Goal::AtLeastOfPeer(Number::thousandths(700)),
        seconds: 5,
    },
    Form { name: "gzip", encoding: Some("gzip"), header: "Accept-Encoding: gzip", goal: Goal::Information, seconds: 3 },
];

/// Each side is asked so often, in turns; the medians are compared.
const ROUNDS: usize = 3;

pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let shop = bench.shop("reads")?;
    // Kept to the end: it is the server that is measured.
    let _server = shop.serve(bench, Disk::Real)?;
    let mut files = Vec::new();
    for (number, question) in QUESTIONS.iter().enumerate() {
        for form in &FORMS {
            let (status, body) = get(&shop.address, question.path, &[form.header])?;
            ensure!(status == 200 && !body.is_empty(), "{} was answered with {status}", question.path);
            files.push(File { name: file_name(number, form), body, encoding: form.encoding });
        }
    }
    let nginx = Nginx::start(bench, "nginx-files", &files)?;
    for form in &FORMS {
        for (number, question) in QUESTIONS.iter().enumerate() {
            let ours = format!("http://{}{}", shop.address, question.path);
            let theirs = format!("http://{}/{}", nginx.address, file_name(number, form));
            let (mut own, mut peer) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                own.push(requests_per_second(&ours, form.header, form.seconds)?);
                peer.push(requests_per_second(&theirs, form.header, form.seconds)?);
            }
            let size = files.iter().find(|file| file.name == file_name(number, form)).map(|file| file.body.len());
            let size = size.context("every question has a file")?;
            report.add(Figure {
                name: format!("{}, {}, {size} bytes", question.name, form.name),
                value: Number::median(own),
                unit: "requests/s",
                peer: Some(Peer { name: "nginx, the same bytes as a file", value: Number::median(peer) }),
                goal: form.goal,
            });
        }
    }
    Ok(())
}

fn file_name(question: usize, form: &Form) -> String {
    format!("answer-{question}-{}", form.name)
}
