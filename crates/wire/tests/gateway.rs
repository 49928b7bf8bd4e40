//! What the variables of reverse proxies mean, whichever protocol carries them.

mod support;

use portico_wire::{GatewayHead, GatewayLimits, ResponseBody, ResponsePlan, ResponseProperties, Version, WireError};
use support::gateway::{NGINX, least, read_variables, read_variables_with, uwsgi};

type Variables<'a> = &'a [(&'a str, &'a str)];

/// The lines of a head that begin with `part`, without it.
fn parts<'a>(lines: &'a [String], part: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(part)?.strip_prefix(": ")).collect()
}

/// The part of a head that `more` variables make.
fn part(more: &[(&str, &str)], name: &str) -> Result<Vec<String>, WireError> {
    read_variables(&least(more)).map(|lines| parts(&lines, name).into_iter().map(str::to_owned).collect())
}

fn error(more: &[(&str, &str)]) -> WireError {
    read_variables(&least(more)).expect_err(&format!("{more:?}"))
}

#[test]
fn reads_every_part_of_a_head() {
    let expected = [
        "request: POST",
        "target: /a%20b?c=d&e",
        "path: /a b",
        "query: c=d&e",
        "protocol: HTTP/1.1",
        "scheme: https",
        "client: 192.0.2.7 50000",
        "server: example.org:443",
        "type: text/plain",
        "length: 3",
        "header: HTTP_HOST: example.org",
        "header: HTTP_X_A: b",
        "variable: DOCUMENT_ROOT: /srv",
    ];
    assert_eq!(read_variables(&NGINX).unwrap(), expected);
}

#[test]
fn empty_variables_count_as_absent() {
    let empty = NGINX.map(|(name, value)| match name {
        "REQUEST_METHOD" | "PATH_INFO" => (name, value),
        _ => (name, ""),
    });
    let expected =
        ["request: POST", "path: /a b", "header: HTTP_HOST: ", "header: HTTP_X_A: ", "variable: DOCUMENT_ROOT: "];
    assert_eq!(read_variables(&empty).unwrap(), expected);
}

#[test]
fn reading_again_forgets_the_head_before() {
    let mut head = GatewayHead::new();
    let (first, second) = (uwsgi(0, &NGINX), uwsgi(0, &least(&[])));
    head.read_uwsgi(&first, &GatewayLimits::default()).unwrap();
    assert_eq!(head.header(&first, "HTTP_HOST"), Some(&b"example.org"[..]));
    assert_eq!(head.variable(&first, "DOCUMENT_ROOT"), Some(&b"/srv"[..]));
    head.read_uwsgi(&second, &GatewayLimits::default()).unwrap();
    let mut fresh = GatewayHead::new();
    fresh.read_uwsgi(&second, &GatewayLimits::default()).unwrap();
    assert_eq!(head, fresh);
}

#[test]
fn memory_for_very_many_variables_is_not_kept() {
    let limits = GatewayLimits { max_variables: 10_000, ..GatewayLimits::default() };
    let mut head = GatewayHead::new();
    head.read_uwsgi(&uwsgi(0, &least(&vec![("HTTP_A", ""); 2_000])), &limits).unwrap();
    assert!(head.headers.capacity() >= 2_000);
    head.read_uwsgi(&uwsgi(0, &least(&[])), &limits).unwrap();
    assert!(head.headers.capacity() < 300);
}

#[test]
fn splits_the_path() {
    let cases: [(&str, Variables<'_>, &str, &str); 15] = [
        ("given", &[("SCRIPT_NAME", "/app"), ("PATH_INFO", "/x%41")], "/app", "/x%41"),
        ("an empty PATH_INFO is one", &[("SCRIPT_NAME", "/app"), ("PATH_INFO", ""), ("REQUEST_URI", "/q")], "/app", ""),
        ("a slash mounts at the root", &[("SCRIPT_NAME", "/"), ("PATH_INFO", "/x")], "", "/x"),
        ("the slash after the mount is the path's", &[("SCRIPT_NAME", "/app/"), ("PATH_INFO", "/x")], "/app", "/x"),
        ("a path may hold control characters", &[("PATH_INFO", "/x\r\ny")], "", "/x\r\ny"),
        ("from REQUEST_URI, decoded", &[("REQUEST_URI", "/a%20b%2Fc?d")], "", "/a b/c"),
        ("from an absolute REQUEST_URI", &[("REQUEST_URI", "http://h/a?d")], "", "/a"),
        (
            "fastcgi_params of nginx",
            &[("SCRIPT_NAME", "/x/"), ("DOCUMENT_URI", "/x/"), ("REQUEST_URI", "/x//")],
            "",
            "/x/",
        ),
        (
            "a mount of the operator",
            &[("SCRIPT_NAME", "/app"), ("DOCUMENT_URI", "/app/x"), ("REQUEST_URI", "/q")],
            "/app",
            "/x",
        ),
        ("a mount ends with a segment", &[("SCRIPT_NAME", "/app"), ("DOCUMENT_URI", "/apple")], "", "/apple"),
        ("another script", &[("SCRIPT_NAME", "/i.cgi"), ("DOCUMENT_URI", "/x")], "", "/x"),
        ("scgi_params of nginx", &[("DOCUMENT_URI", "/x%41"), ("REQUEST_URI", "/y/../x%2541")], "", "/x%41"),
        ("FastCGI of Apache", &[("SCRIPT_NAME", "/a b"), ("REQUEST_URI", "/c/../a%20b")], "", "/a b"),
        ("the client does not choose the mount", &[("SCRIPT_NAME", "/a/"), ("REQUEST_URI", "/a/b/..")], "", "/a/"),
        ("a path that cannot be decoded stays", &[("REQUEST_URI", "/%4")], "", "/%4"),
    ];
    for (case, variables, script_name, path) in cases {
        let lines = read_variables(&[&[("REQUEST_METHOD", "GET")], variables].concat()).expect(case);
        assert_eq!(parts(&lines, "script_name").concat(), script_name, "{case}");
        assert_eq!(parts(&lines, "path").concat(), path, "{case}");
    }
}

#[test]
fn modifier_30_removes_the_script_name() {
    let split = |script_name, path| {
        let variables = [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", script_name), ("PATH_INFO", path)];
        let lines = read_variables_with(30, &variables)?;
        Ok((parts(&lines, "script_name").concat(), parts(&lines, "path").concat()))
    };
    let pair = |script_name: &str, path: &str| Ok((script_name.to_owned(), path.to_owned()));
    assert_eq!(split("/app", "/app/x"), pair("/app", "/x"));
    assert_eq!(split("/app/", "/app/x"), pair("/app", "/x"));
    assert_eq!(split("/app", "/app"), pair("/app", ""));
    assert_eq!(split("", "/x"), pair("", "/x"));
    for outside in ["/apple", "/", "", "/x/app"] {
        assert_eq!(split("/app", outside), Err(WireError::PATH_NOT_BELOW), "{outside}");
    }
    assert_eq!(WireError::PATH_NOT_BELOW.status, 404);
}

#[test]
fn rejects_paths_that_are_none() {
    for variables in [&[("PATH_INFO", "x")][..], &[("PATH_INFO", "*")], &[("PATH_INFO", "/"), ("SCRIPT_NAME", "app")]] {
        let variables = [&[("REQUEST_METHOD", "GET")], variables].concat();
        assert_eq!(read_variables(&variables), Err(WireError::PATH_INVALID), "{variables:?}");
    }
    assert_eq!(read_variables(&[("REQUEST_METHOD", "GET")]), Err(WireError::PATH_MISSING));
    assert_eq!(read_variables(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "")]), Err(WireError::PATH_MISSING));
    let asterisk = [("REQUEST_METHOD", "OPTIONS"), ("REQUEST_URI", "*"), ("PATH_INFO", "*")];
    assert_eq!(parts(&read_variables(&asterisk).unwrap(), "path"), ["*"]);
}

#[test]
fn method_and_target_obey_the_rules_of_a_request_line() {
    let read =
        |method, target| read_variables(&[("REQUEST_METHOD", method), ("REQUEST_URI", target), ("PATH_INFO", "/")]);
    assert_eq!(read("", "/"), Err(WireError::METHOD_MISSING));
    assert_eq!(read_variables(&[("PATH_INFO", "/")]), Err(WireError::METHOD_MISSING));
    for method in ["GE T", "GET\r\n", "G:", "caf\u{e9}"] {
        assert_eq!(read(method, "/"), Err(WireError::METHOD), "{method}");
    }
    for target in ["/", ""] {
        assert_eq!(read("TRACE", target), Err(WireError::METHOD_NOT_ALLOWED));
        assert_eq!(read("CONNECT", target), Err(WireError::METHOD_NOT_ALLOWED));
    }
    for target in ["/a b", "/a\r\n", "/#", "/caf\u{e9}"] {
        assert_eq!(read("GET", target), Err(WireError::TARGET_CHARACTER), "{target}");
    }
    assert_eq!(read("GET", "*"), Err(WireError::TARGET_FORM));
    assert_eq!(read("GET", "a"), Err(WireError::TARGET_FORM));
    assert_eq!(read("GET", "http://u@h/"), Err(WireError::TARGET_AUTHORITY));
}

#[test]
fn knows_head_requests() {
    for (method, is_head) in [("HEAD", true), ("GET", false), ("head", false)] {
        let packet = uwsgi(0, &[("REQUEST_METHOD", method), ("PATH_INFO", "/")]);
        let mut head = GatewayHead::new();
        head.read_uwsgi(&packet, &GatewayLimits::default()).unwrap();
        assert_eq!(head.is_head, is_head, "{method}");
    }
}

#[test]
fn the_query_comes_from_its_variable_or_the_target() {
    let query = |more: &[(&str, &str)]| part(more, "query").unwrap().concat();
    assert_eq!(query(&[("REQUEST_URI", "/?a?b")]), "a?b");
    assert_eq!(query(&[("REQUEST_URI", "/?a"), ("QUERY_STRING", "b")]), "b");
    assert_eq!(query(&[("REQUEST_URI", "/?a"), ("QUERY_STRING", "")]), "");
    assert_eq!(error(&[("QUERY_STRING", "a\r\nb")]), WireError::FIELD_VALUE);
}

#[test]
fn content_length_is_a_plain_number() {
    assert_eq!(part(&[("CONTENT_LENGTH", "007")], "length").unwrap(), ["7"]);
    assert_eq!(part(&[("CONTENT_LENGTH", "18446744073709551615")], "length").unwrap(), ["18446744073709551615"]);
    assert!(part(&[("CONTENT_LENGTH", "")], "length").unwrap().is_empty());
    for wrong in ["-1", "+1", "1,1", "1 ", "0x1", "1_0", "18446744073709551616", "\u{b2}", "000000000000000000001"] {
        assert_eq!(error(&[("CONTENT_LENGTH", wrong)]), WireError::CONTENT_LENGTH_INVALID, "{wrong}");
    }
}

#[test]
fn what_frames_or_routes_may_come_once() {
    for (name, value, expected) in [
        ("CONTENT_LENGTH", "1", WireError::CONTENT_LENGTH_REPEATED),
        ("CONTENT_TYPE", "a/b", WireError::CONTENT_TYPE_REPEATED),
        ("HTTP_HOST", "a", WireError::HOST_REPEATED),
    ] {
        assert_eq!(error(&[(name, value), (name, value)]), expected);
    }
    assert_eq!(error(&[("REQUEST_METHOD", "GET")]), WireError::VARIABLE_REPEATED);
}

#[test]
fn of_other_repeats_the_last_counts_and_headers_are_all_there() {
    let more = [
        ("PATH_INFO", "/q"),
        ("SERVER_NAME", "a"),
        ("SERVER_NAME", "b"),
        ("HTTP_A", "1"),
        ("HTTP_A", "2"),
        ("X", "1"),
        ("X", "2"),
    ];
    let lines = read_variables(&least(&more)).unwrap();
    assert_eq!(parts(&lines, "path"), ["/q"]);
    assert_eq!(parts(&lines, "server"), ["b"]);
    assert_eq!(parts(&lines, "header"), ["HTTP_A: 1", "HTTP_A: 2"]);
    let packet = uwsgi(0, &least(&more));
    let mut head = GatewayHead::new();
    head.read_uwsgi(&packet, &GatewayLimits::default()).unwrap();
    assert_eq!(head.variable(&packet, "X"), Some(&b"2"[..]));
    assert_eq!(head.header(&packet, "HTTP_A"), Some(&b"1"[..]));
    assert_eq!(head.variable(&packet, "HTTP_A"), None);
}

#[test]
fn no_variable_is_a_key_of_the_server() {
    for name in [
        "wsgi.input",
        "wsgi.url_scheme",
        "portico.peer",
        "WSGI.INPUT",
        "proxy-nokeepalive",
        "A-B",
        "A B",
        "a",
        "\u{c9}",
        "A\r\nB",
        "A.B",
        "HTTP_x",
        "HTTP_",
        "HTTP_A-B",
        "HTTP_A.B",
        "HTTP_A\r\n",
        "UWSGI_FILE",
        "UWSGI_PYHOME",
        "UWSGI_",
        "UWSGI_SETENV",
        "SCGI",
        "GATEWAY_INTERFACE",
        "SERVER_SOFTWARE",
        "HTTP_PROXY",
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_TRANSFER_ENCODING",
    ] {
        assert_eq!(read_variables(&least(&[(name, "evil")])).unwrap(), ["request: GET", "path: /p"], "{name}");
    }
    // Of a client's headers people are told, unless the reverse proxy has undone them.
    for (name, expected) in [("HTTP_PROXY", 1), ("HTTP_A-B", 1), ("HTTP_CONTENT_LENGTH", 0), ("wsgi.input", 0)] {
        let mut head = GatewayHead::new();
        let packet = uwsgi(0, &least(&[(name, "evil")]));
        head.read_uwsgi(&packet, &GatewayLimits::default()).unwrap();
        let dropped: Vec<_> = head.dropped.iter().map(|header| header.name.of(&packet)).collect();
        assert_eq!(dropped, vec![name.as_bytes(); expected]);
    }
    // Close to these, and harmless.
    for name in ["UWSGI", "PROXY", "HTTP", "WSGI_INPUT", "_", "0"] {
        assert_eq!(part(&[(name, "good")], "variable").unwrap(), [format!("{name}: good")]);
    }
}

#[test]
fn rejects_names_and_values_that_could_be_read_in_two_ways() {
    for name in ["", "\0", "A\0", "HTTP_A\0B", "wsgi.input\0"] {
        assert_eq!(error(&[(name, "")]), WireError::VARIABLE_NAME, "{name:?}");
    }
    for name in ["PATH_INFO", "REMOTE_USER", "HTTP_A", "HTTP_PROXY", "wsgi.input", "REQUEST_METHOD"] {
        assert_eq!(error(&[(name, "/a\0b")]), WireError::VARIABLE_VALUE, "{name}");
    }
    for name in ["HTTP_A", "CONTENT_TYPE", "SERVER_NAME", "QUERY_STRING"] {
        for value in ["a\r\nb", "a\nb", "a\rb", "a\x7fb"] {
            assert_eq!(error(&[(name, value)]), WireError::FIELD_VALUE, "{name}: {value:?}");
        }
        assert!(read_variables(&least(&[(name, "a\tb \u{e9}")])).is_ok(), "{name}");
    }
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let expected = [format!("SSL_CLIENT_CERT: {certificate}")];
    assert_eq!(part(&[("SSL_CLIENT_CERT", certificate)], "variable").unwrap(), expected);
}

#[test]
fn host_obeys_the_rules_of_http() {
    for host in ["example.org", "[::1]:80", ""] {
        assert_eq!(part(&[("HTTP_HOST", host)], "header").unwrap(), [format!("HTTP_HOST: {host}")]);
    }
    for host in ["a b", "a/b", "u@h", "h:99999"] {
        assert_eq!(error(&[("HTTP_HOST", host)]), WireError::HOST_INVALID, "{host}");
    }
}

#[test]
fn reads_the_scheme() {
    for (more, expected) in [
        (&[("HTTPS", "on")][..], "https"),
        (&[("HTTPS", "ON")], "https"),
        (&[("HTTPS", "1")], "https"),
        (&[("HTTPS", "off")], "http"),
        (&[("HTTPS", "0")], "http"),
        (&[("HTTPS", "on"), ("REQUEST_SCHEME", "http")], "https"),
        (&[("HTTPS", ""), ("REQUEST_SCHEME", "https")], "https"),
        (&[("REQUEST_SCHEME", "http")], "http"),
        (&[("UWSGI_SCHEME", "HTTPS"), ("HTTPS", "off"), ("REQUEST_SCHEME", "http")], "https"),
        (&[("UWSGI_SCHEME", "http"), ("HTTPS", "on")], "http"),
        (&[("UWSGI_SCHEME", "wss"), ("HTTPS", "off")], "https"),
        (&[("REQUEST_SCHEME", "Ws")], "http"),
        (&[], ""),
    ] {
        assert_eq!(part(more, "scheme").unwrap().concat(), expected, "{more:?}");
        assert!(part(more, "variable").unwrap().is_empty(), "{more:?}");
    }
    for wrong in [("HTTPS", "yes"), ("UWSGI_SCHEME", "on"), ("REQUEST_SCHEME", "ftp"), ("HTTPS", "on ")] {
        assert_eq!(error(&[wrong]), WireError::SCHEME_INVALID, "{wrong:?}");
    }
}

#[test]
fn reads_client_and_server() {
    let client = |address, port| {
        part(&[("REMOTE_ADDR", address), ("REMOTE_PORT", port)], "client").map(|client| client.concat())
    };
    assert_eq!(client("::1", "1"), Ok("::1 1".into()));
    assert_eq!(client("::ffff:10.0.0.1", "65535"), Ok("10.0.0.1 65535".into()));
    assert_eq!(client("10.0.0.1", ""), Ok("10.0.0.1 0".into()));
    assert_eq!(client("10.0.0.1", "0"), Ok("10.0.0.1 0".into()));
    assert_eq!(client("unix:", ""), Ok("unknown 0".into()));
    assert_eq!(client("", "1"), Ok(String::new()));
    for address in ["localhost", "10.0.0.1, 10.0.0.2", "10.0.0.1:80", "10.0.0.01", "::1\n", " ::1"] {
        assert_eq!(client(address, "1"), Err(WireError::REMOTE_ADDR_INVALID), "{address}");
    }
    for port in ["65536", "-1", "a", "1 ", "000001"] {
        assert_eq!(client("::1", port), Err(WireError::REMOTE_PORT_INVALID), "{port}");
        assert_eq!(error(&[("SERVER_PORT", port)]), WireError::SERVER_PORT_INVALID, "{port}");
    }
    // What nginx sends where a name is a pattern.
    assert_eq!(
        part(&[("SERVER_NAME", "~^(www\\.)?a$"), ("SERVER_PORT", "80")], "server").unwrap(),
        ["~^(www\\.)?a$:80"]
    );
}

#[test]
fn reads_the_protocol_of_the_client() {
    for (protocol, version) in
        [("HTTP/1.0", "1.0"), ("HTTP/0.9", "1.0"), ("HTTP/1.1", ""), ("HTTP/2.0", ""), ("HTTP/3", "")]
    {
        let lines = read_variables(&least(&[("SERVER_PROTOCOL", protocol)])).unwrap();
        assert_eq!(parts(&lines, "protocol"), [protocol]);
        assert_eq!(parts(&lines, "version").concat(), version, "{protocol}");
    }
    for protocol in ["INCLUDED", "http/1.1", "HTTP/", "HTTP/1.", "HTTP/1.1 ", "HTTP/0.1", "HTTP/11"] {
        assert_eq!(error(&[("SERVER_PROTOCOL", protocol)]), WireError::VERSION_SYNTAX, "{protocol}");
    }
}

#[test]
fn knows_when_the_reverse_proxy_took_the_request() {
    let start = |values: &[&str]| {
        let more: Vec<_> = values.iter().map(|value| ("HTTP_X_REQUEST_START", *value)).collect();
        let packet = uwsgi(0, &least(&more));
        let mut head = GatewayHead::new();
        head.read_uwsgi(&packet, &GatewayLimits::default()).unwrap();
        head.request_start_ns(&packet)
    };
    assert_eq!(start(&["t=1700000000.25"]), Some(1_700_000_000_250_000_000));
    assert_eq!(start(&["1", "t=1700000000.5"]), Some(1_700_000_000_500_000_000));
    assert_eq!(start(&["1, t=1700000000.5 "]), Some(1_700_000_000_500_000_000));
    assert_eq!(start(&["soon"]), None);
    assert_eq!(start(&[]), None);
}

#[test]
fn the_number_of_variables_is_bounded() {
    let read = |max_variables, count| {
        let limits = GatewayLimits { max_variables, ..GatewayLimits::default() };
        let packet = uwsgi(0, &least(&vec![("wsgi.dropped", ""); count]));
        GatewayHead::new().read_uwsgi(&packet, &limits).map(|read| read.is_some())
    };
    assert_eq!(read(5, 3), Ok(true));
    assert_eq!(read(5, 4), Err(WireError::TOO_MANY_VARIABLES));
    assert_eq!(read(0, 0), Err(WireError::TOO_MANY_VARIABLES));
    assert_eq!(WireError::TOO_MANY_VARIABLES.status, 431);
}

#[test]
fn plans_responses_of_cgi() {
    let properties = ResponseProperties {
        version: Version::Http11,
        is_head: false,
        status: 200,
        content_length: None,
        known_length: None,
        keep_alive: true,
    };
    let plan = ResponsePlan {
        body: ResponseBody::UntilClose,
        keep_alive: true,
        add_content_length: None,
        add_chunked: false,
        connection: None,
        drop_content_length: false,
    };
    let planned = portico_wire::plan_cgi_response;
    assert_eq!(planned(&properties), plan);
    assert_eq!(
        planned(&ResponseProperties { keep_alive: false, ..properties }),
        ResponsePlan { keep_alive: false, ..plan }
    );
    let length = ResponsePlan { body: ResponseBody::Length(5), ..plan };
    assert_eq!(planned(&ResponseProperties { content_length: Some(5), ..properties }), length);
    let added = ResponsePlan { add_content_length: Some(5), ..length };
    assert_eq!(planned(&ResponseProperties { known_length: Some(5), ..properties }), added);
    let empty = ResponsePlan { body: ResponseBody::Empty, ..plan };
    assert_eq!(planned(&ResponseProperties { is_head: true, ..properties }), empty);
    assert_eq!(planned(&ResponseProperties { status: 304, ..properties }), empty);
}

#[test]
fn writes_the_status_as_cgi_has_it() {
    let mut out = Vec::new();
    portico_wire::write_cgi_status(&mut out, b"404 Not Found");
    assert_eq!(out, b"Status: 404 Not Found\r\n");
}
