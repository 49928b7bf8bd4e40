//! Requests go where the routes say: to one of several applications, or to none.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use portico_engine::engine::Ended;
use portico_engine::function::{Function, FunctionRequest, FunctionResponse};
use portico_engine::routing::{FixedResponse, Redirect, Routing, Target};
use portico_wire::Routes;
use std::sync::Arc;
use support::RunningServer;

/// Says which application was asked for what.
fn echo(request: FunctionRequest) -> FunctionResponse {
    let FunctionRequest { application, path, .. } = request;
    let said = format!("{application} {}", String::from_utf8_lossy(&path));
    FunctionResponse { status: "200 OK", headers: Vec::new(), blocks: vec![said.into_bytes()] }
}

fn served() -> RunningServer {
    let mut routing = Routing { routes: Routes::new(true), ..Routing::default() };
    let fixed = FixedResponse {
        status: 410,
        headers: vec![("Content-Type".into(), "text/html".into()), ("X-Why".into(), "moved out".into())],
        body: b"<p>gone</p>".to_vec(),
    };
    let nothing = FixedResponse { status: 204, headers: Vec::new(), body: Vec::new() };
    let moved = Redirect { status: 308, to: "https://new.example.com/x".into(), in_place_of: Some("/old".into()) };
    let root = Redirect { status: 307, to: "/".into(), in_place_of: Some("/up".into()) };
    let elsewhere = Redirect { status: 302, to: "/login".into(), in_place_of: None };
    for (host, path, target) in [
        ("a", "", Target::Application { index: 0, mount: "".into() }),
        ("a", "/shop", Target::Application { index: 1, mount: "/shop".into() }),
        ("a", "/whole", Target::Application { index: 2, mount: "".into() }),
        ("a", "/gone", Target::Response(Arc::new(fixed))),
        ("a", "/nothing", Target::Response(Arc::new(nothing))),
        ("a", "/old", Target::Redirect(Arc::new(moved))),
        ("a", "/up", Target::Redirect(Arc::new(root))),
        ("a", "/me", Target::Redirect(Arc::new(elsewhere))),
        ("b", "/only", Target::Application { index: 3, mount: "".into() }),
    ] {
        routing.routes.add(host, path, false, routing.targets.len());
        routing.targets.push(target);
    }
    RunningServer::serve_routed(Function(echo), routing)
}

fn ask(server: &RunningServer, method: &str, host: &str, target: &str) -> String {
    server.connect().ask(&format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn each_application_gets_its_own_requests() {
    let server = served();
    for (host, target, said) in [
        ("a", "/", "0 /"),
        ("a", "/shop/cart?x", "1 /cart"),
        ("a", "/shop", "1 "),
        ("a", "/s%68op/c%20t", "1 /c%20t"),
        ("a:80", "/whole/1", "2 /whole/1"),
        ("B", "/only/2", "3 /only/2"),
        ("x", "http://a/shop/y", "1 /y"),
    ] {
        let response = ask(&server, "GET", host, target);
        assert!(response.ends_with(&format!("\r\n\r\n{said}")), "{host} {target}: {response}");
    }
    assert_eq!(server.stop(), Ended::InPeace);
}

#[test]
fn what_has_no_route_is_not_found_and_an_unknown_host_is_misdirected() {
    let server = served();
    assert!(ask(&server, "GET", "b", "/").starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(ask(&server, "GET", "c", "/").starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
    server.stop();
}

#[test]
fn a_fixed_response_has_its_headers_and_body() {
    let server = served();
    let response = ask(&server, "GET", "a", "/gone/for/ever");
    assert!(response.starts_with("HTTP/1.1 410 Gone\r\nContent-Type: text/html\r\nX-Why: moved out\r\n"), "{response}");
    assert!(response.contains("\r\nContent-Length: 11\r\n") && response.ends_with("\r\n\r\n<p>gone</p>"), "{response}");
    let response = ask(&server, "HEAD", "a", "/gone");
    assert!(response.contains("\r\nContent-Length: 11\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    let response = ask(&server, "GET", "a", "/nothing");
    assert!(response.starts_with("HTTP/1.1 204 No Content\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    assert!(!response.contains("Content-Length") && !response.contains("Content-Type"), "{response}");
    server.stop();
}

#[test]
fn a_redirect_has_what_follows_its_path_or_not() {
    let server = served();
    for (target, location) in [
        ("/old", "https://new.example.com/x"),
        ("/old/a%20b?c=d", "https://new.example.com/x/a%20b?c=d"),
        ("/%6fld/e", "https://new.example.com/x/e"),
        ("/me/and?you", "/login"),
        ("/up/a//b", "/a//b"),
        ("/up//evil.example.com/x", "/evil.example.com/x"),
        ("/up/\\evil.example.com", "/evil.example.com"),
        ("/up?q", "/?q"),
    ] {
        let response = ask(&server, "GET", "a", target);
        let status = match location.as_bytes() {
            b"/login" => "302 Found",
            [b'/', ..] => "307 Temporary Redirect",
            _ => "308 Permanent Redirect",
        };
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\nLocation: {location}\r\n")), "{response}");
    }
    server.stop();
}

#[test]
fn responses_that_need_no_application_keep_their_place_and_the_connection() {
    let server = served();
    let mut client = server.connect();
    let ask = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send([ask("/1"), ask("/gone"), ask("/shop/2"), ask("/old"), ask("/3")].concat().as_bytes());
    let bodies: Vec<_> = (0..5).map(|_| String::from_utf8(client.read_response().1).unwrap()).collect();
    assert_eq!(bodies, ["0 /1", "<p>gone</p>", "1 /2", "308 Permanent Redirect\n", "0 /3"]);
    assert_eq!(server.stop(), Ended::InPeace);
}

fn ask_expecting(server: &RunningServer, host: &str, target: &str) -> String {
    let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    server.connect().ask(&head)
}

#[test]
fn who_waits_for_100_before_a_body_that_nobody_reads_has_the_response_instead() {
    let server = served();
    for (host, target, status) in [
        ("a", "/gone", "410 Gone"),
        ("a", "/old", "308 Permanent Redirect"),
        ("b", "/", "404 Not Found"),
        ("c", "/", "421 Misdirected Request"),
    ] {
        let response = ask_expecting(&server, host, target);
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    }
    let mut client = server.connect();
    client.send(b"POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"x");
    assert_eq!(client.read_response().1, b"1 ");
    assert_eq!(server.stop(), Ended::InPeace);
}
