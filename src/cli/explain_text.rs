//! Explanations as people read them.

use std::fmt::Write;

use crate::admin::explain::{Answer, CandidateVerdict, Effect, Explanation};

/// The whole answer.
pub(super) fn format(explanation: &Explanation) -> String {
    let mut out = format!("{}\n", explanation.request);
    let mut line = |text: String| {
        writeln!(out, "{text}").expect("writing to a String can't fail");
    };
    if !explanation.listener.is_empty() {
        line(format!("  by        {}", explanation.listener));
    }
    for host in &explanation.hosts {
        line(format!("  host      {host}"));
    }
    if explanation.answers.is_empty() {
        line(match explanation.hosts.is_empty() && !explanation.listener.is_empty() {
            true => "\n404: no Host takes this name here".to_owned(),
            false => "\n404: no route answers".to_owned(),
        });
    }
    for answer in &explanation.answers {
        line(String::new());
        lines_of(answer).into_iter().for_each(&mut line);
    }
    if !explanation.considered.is_empty() {
        line("\nRoutes for this host and path, best first:".to_owned());
    }
    for candidate in &explanation.considered {
        let mark = match candidate.verdict {
            CandidateVerdict::Wins => "wins    ",
            CandidateVerdict::Beaten => "beaten  ",
            CandidateVerdict::NoShare => "no share",
            CandidateVerdict::Fails => "fails   ",
        };
        line(format!("  {mark}  {}", candidate.objects.join(", ")));
        line(format!("            {}", candidate.matches));
        if candidate.verdict != CandidateVerdict::Wins {
            line(format!("            {}", candidate.why));
        }
    }
    out
}

fn lines_of(answer: &Answer) -> Vec<String> {
    let share = match answer.percent {
        100 => String::new(),
        percent => format!("{percent}% of requests: "),
    };
    let mut lines = vec![format!("{share}{} ({})", answer.object, answer.origin)];
    match &answer.action {
        Effect::Forward {
            service,
            cluster,
            upstream,
            request_line,
            host,
            request_headers,
            response_headers,
            timeout_ms,
        } => {
            lines.push(format!("  to        {service} ({cluster}: {upstream})"));
            lines.push(format!("  sends     {request_line}"));
            lines.push(format!("  host      {host}"));
            lines.extend(request_headers.iter().map(|edit| format!("  request   {edit}")));
            lines.extend(response_headers.iter().map(|edit| format!("  response  {edit}")));
            lines.push(match timeout_ms {
                Some(limit) => format!("  timeout   {limit} ms"),
                None => "  timeout   none".to_owned(),
            });
        }
        Effect::Redirect { status, location } => {
            lines.push(format!("  redirect  {status} to {location}"));
        }
        Effect::Probe { of } => lines.push(format!("  answers   whether the gateway is {of}")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::explain::Candidate;

    fn forward() -> Effect {
        Effect::Forward {
            service: "web:80".to_owned(),
            cluster: "cluster_web".to_owned(),
            upstream: "DNS name web.default, port 80".to_owned(),
            request_line: "GET /y".to_owned(),
            host: "localhost".to_owned(),
            request_headers: vec!["- x-a".to_owned(), "+ x-b: 1".to_owned()],
            response_headers: vec![],
            timeout_ms: Some(3000),
        }
    }

    #[test]
    fn answers_and_candidates_are_told() {
        let candidate = |name: &str, verdict, why: &str| Candidate {
            objects: vec![format!("Mapping default/{name}")],
            matches: format!("host *, prefix /{name}"),
            verdict,
            why: why.to_owned(),
        };
        let answer = |percent, object: &str, action| Answer {
            percent,
            object: object.to_owned(),
            origin: "resource".to_owned(),
            action,
        };
        let forward = forward();
        let redirect = Effect::Redirect { status: 301, location: "http://b/".to_owned() };
        let explanation = Explanation {
            request: "GET localhost /x/y".to_owned(),
            listener: "Listener default/web, port 8080".to_owned(),
            hosts: vec!["Host default/all (insecure requests are served)".to_owned()],
            answers: vec![
                answer(90, "Mapping default/x", forward),
                answer(10, "Mapping default/r", redirect),
            ],
            considered: vec![
                candidate("x", CandidateVerdict::Wins, "it answers"),
                candidate(
                    "y",
                    CandidateVerdict::Beaten,
                    "the winner comes first: its path is longer",
                ),
            ],
        };
        assert_eq!(
            format(&explanation),
            "\
GET localhost /x/y
  by        Listener default/web, port 8080
  host      Host default/all (insecure requests are served)

90% of requests: Mapping default/x (resource)
  to        web:80 (cluster_web: DNS name web.default, port 80)
  sends     GET /y
  host      localhost
  request   - x-a
  request   + x-b: 1
  timeout   3000 ms

10% of requests: Mapping default/r (resource)
  redirect  301 to http://b/

Routes for this host and path, best first:
  wins      Mapping default/x
            host *, prefix /x
  beaten    Mapping default/y
            host *, prefix /y
            the winner comes first: its path is longer
"
        );
    }

    #[test]
    fn nothing_is_404() {
        let mut explanation = Explanation {
            request: "GET a /".to_owned(),
            listener: "port 8080".to_owned(),
            hosts: vec!["Host default/a (closed: its status says why)".to_owned()],
            answers: vec![],
            considered: vec![],
        };
        assert_eq!(
            format(&explanation),
            "GET a /\n  by        port 8080\n  host      Host default/a (closed: its status says why)\n\n\
             404: no route answers\n"
        );
        explanation.hosts.clear();
        assert_eq!(
            format(&explanation),
            "GET a /\n  by        port 8080\n\n404: no Host takes this name here\n"
        );
    }
}
