//! Which row of a table takes a request.
#![allow(clippy::unwrap_used, reason = "tests")]

use portico_wire::{Routed, Routes};

fn table(rejects_unknown_hosts: bool, rows: &[(&str, &str)]) -> Routes {
    let mut routes = Routes::new(rejects_unknown_hosts);
    for (number, (host, path)) in rows.iter().enumerate() {
        let (path, is_exact) = path.strip_suffix('!').map_or((*path, false), |path| (path, true));
        routes.add(host, path, is_exact, number);
    }
    routes
}

const ROWS: &[(&str, &str)] = &[
    ("", ""),
    ("", "/a"),
    ("", "/a/b"),
    ("shop.example.com", "/cart"),
    ("*.example.com", ""),
    ("*.shop.example.com", "/a"),
    ("", "/ä x"),
    ("[::1]", ""),
];

#[test]
fn the_very_host_then_the_longest_wildcard_then_any_and_the_longest_path() {
    let routes = table(false, ROWS);
    for (host, path, row) in [
        ("localhost", "/", 0),
        ("localhost", "/a", 1),
        ("localhost", "/a/", 1),
        ("localhost", "/a/x", 1),
        ("localhost", "/ab", 0),
        ("localhost", "/a/b", 2),
        ("localhost", "/a/b/c/d/e/f", 2),
        ("localhost", "/a/bc", 1),
        ("localhost", "", 0),
        ("localhost", "*", 0),
        ("localhost:8000", "/a", 1),
        ("shop.example.com", "/cart/1", 3),
        ("SHOP.Example.COM:443", "/cart", 3),
        ("shop.example.com.", "/cart", 3),
        ("shop.example.com", "/cartoon", 4),
        ("shop.example.com", "/a", 4),
        ("a.b.example.com", "/a", 4),
        ("b.shop.example.com", "/a/b", 5),
        ("b.shop.example.com", "/b", 4),
        ("example.com", "/a", 1),
        (".example.com", "/a", 1),
        ("notexample.com", "/a", 1),
        ("localhost", "/%61", 1),
        ("localhost", "/a%2Fb", 0),
        ("localhost", "/a/%62/c", 2),
        ("localhost", "/%C3%A4%20x/y", 6),
        ("localhost", "/%c3%a4%20x", 6),
        ("localhost", "/%zz", 0),
        ("localhost", "/a%", 0),
        ("[::1]:8000", "/a", 7),
        ("[::1]", "/", 7),
        ("", "/a", 1),
    ] {
        assert_eq!(routes.find(host.as_bytes(), path.as_bytes()), Routed::Row(row), "{host} {path}");
    }
}

#[test]
fn what_no_row_takes_is_said() {
    let routes = table(false, &[("", "/a"), ("shop.example.com", "/b")]);
    for (host, path, expected) in [
        ("localhost", "/", Routed::NoPath),
        ("localhost", "/b", Routed::NoPath),
        ("shop.example.com", "/c", Routed::NoPath),
        ("shop.example.com", "/a", Routed::Row(0)),
    ] {
        assert_eq!(routes.find(host.as_bytes(), path.as_bytes()), expected, "{host} {path}");
    }
}

#[test]
fn a_host_that_no_row_names_may_be_nobodys() {
    let routes = table(true, &[("", "/a"), ("shop.example.com", "/b")]);
    for (host, path, expected) in [
        ("localhost", "/a", Routed::UnknownHost),
        ("", "/a", Routed::UnknownHost),
        ("shop.example.com", "/a", Routed::Row(0)),
        ("shop.example.com", "/c", Routed::NoPath),
    ] {
        assert_eq!(routes.find(host.as_bytes(), path.as_bytes()), expected, "{host} {path}");
    }
}

#[test]
fn an_exact_path_is_before_all_others() {
    let routes = table(false, &[("", "/a"), ("", "/a!"), ("", "/a/b!"), ("", "/!"), ("", "")]);
    for (path, row) in [("/a", 1), ("/a/", 0), ("/a/b", 2), ("/a/b/", 0), ("/a/%62", 2), ("/", 3), ("/x", 4), ("", 4)] {
        assert_eq!(routes.find(b"", path.as_bytes()), Routed::Row(row), "{path}");
    }
}

#[test]
fn a_path_is_decoded_once() {
    let routes = table(false, &[("", "/a b"), ("", "/a%20b"), ("", "")]);
    for (path, is_encoded, row) in
        [("/a%20b", true, 0), ("/a%2520b", true, 1), ("/a b", false, 0), ("/a%20b", false, 1), ("/a%2520b", false, 2)]
    {
        assert_eq!(routes.find_from(0, b"", path.as_bytes(), is_encoded), Routed::Row(row), "{path} {is_encoded}");
    }
}

#[test]
fn of_two_rows_for_the_same_the_first_counts() {
    let routes = table(false, &[("", "/a"), ("", "/a")]);
    assert_eq!(routes.find(b"", b"/a"), Routed::Row(0));
}

#[test]
fn a_row_may_leave_a_request_to_the_next_that_takes_it() {
    let rows = [("a", "/x/y!"), ("a", "/x/y"), ("a", "/x"), ("*.b", ""), ("", "/x"), ("", "/x"), ("", "")];
    let routes = table(false, &rows);
    let all_of = |host: &str, path: &str| {
        let mut found = Vec::new();
        while let Routed::Row(row) =
            routes.find_from(found.last().map_or(0, |row| row + 1), host.as_bytes(), path.as_bytes(), true)
        {
            found.push(row);
        }
        found
    };
    assert_eq!(all_of("a", "/x/y"), [0, 1, 2, 4, 5, 6]);
    assert_eq!(all_of("a", "/x/y/z"), [1, 2, 4, 5, 6]);
    assert_eq!(all_of("c.b", "/x"), [3, 4, 5, 6]);
    assert_eq!(all_of("b", "/xy"), [6]);
    assert_eq!(all_of("a", "*"), [6]);
}

#[test]
fn each_row_is_found_by_the_rule_that_looks_at_all() {
    let routes = table(false, ROWS);
    let hosts = ["shop.example.com", "x.shop.example.com", "y.example.com", "example.com", "[::1]", "other"];
    let paths = ["", "/", "/a", "/a/b", "/a/b/c", "/cart", "/cart/x", "/b", "/ab"];
    for (host, path) in hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path))) {
        let takes_host = |pattern: &str| match pattern.strip_prefix('*') {
            Some(end) => host.ends_with(end) && host.len() > end.len(),
            None => pattern.is_empty() || pattern == *host,
        };
        let takes_path =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let fits = ROWS.iter().enumerate().filter(|(_, (host, path))| takes_host(host) && takes_path(path));
        let rank = |pattern: &str| (!pattern.is_empty() && !pattern.starts_with('*'), pattern.len());
        let best = fits.max_by_key(|(_, (host, path))| (rank(host), path.len())).unwrap();
        assert_eq!(routes.find(host.as_bytes(), path.as_bytes()), Routed::Row(best.0), "{host} {path}");
    }
}
