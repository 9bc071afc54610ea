//! Who may do what: keys, tokens, sessions, roles, limits, encryption, and what of it is noted.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::events::{label, numbered};
use super::process::{Service, Setup, folder, redflag, run, succeed, wait_until};

const ROLES: [&str; 4] = ["ingest", "analyst", "engineer", "admin"];

/// Makes a key in `keys.toml` of a folder.
fn key(folder: &Path, name: &str, role: &str) -> String {
    succeed(folder, &format!("keys create --name {name} --role {role}")).trim().to_string()
}

fn with_keys(folder: &Path) -> Setup {
    Setup::new(&folder.join("data"))
        .with("REDFLAG_ACCESS_KEYS", folder.join("keys.toml").display().to_string())
}

/// A request with these headers, each `name: value`.
fn ask(client: &mut Client, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n{headers}\r\n");
    client.send_raw(head.as_bytes(), body.as_bytes()).unwrap()
}

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}")
}

fn document() -> Value {
    serde_json::from_str(&succeed(&folder("access_document"), "openapi")).unwrap()
}

/// Each operation with the roles that may use it; none if it is open.
fn operations(document: &Value) -> Vec<(String, String, Option<Vec<String>>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            let roles = security.iter().find_map(|way| way.get("key"));
            let roles = roles.map(|roles| serde_json::from_value(roles.clone()).unwrap());
            found.push((method.to_ascii_uppercase(), path.clone(), roles));
        }
    }
    found
}

#[test]
fn every_door_asks_for_a_role() {
    let folder = folder("access_roles");
    let keys = ROLES.map(|role| key(&folder, role, role));
    let service = with_keys(&folder).start();
    let mut open = HashSet::new();
    for (method, path, roles) in operations(&document()) {
        let at = path.replace(['{', '}'], "");
        let Some(roles) = roles else {
            open.insert(path);
            continue;
        };
        let stranger = ask(&mut service.client(), &method, &at, &[], "");
        assert_eq!(stranger.status, 401, "{method} {path}: {stranger:?}");
        assert_eq!(stranger.header("www-authenticate"), Some("Bearer realm=\"redflag\""));
        stranger.problem_fields();
        for (role, key) in ROLES.iter().zip(&keys) {
            let answer = ask(&mut service.client(), &method, &at, &[&bearer(key)], "");
            let is_refused = matches!(answer.status, 401 | 403);
            assert_eq!(is_refused, !roles.contains(&role.to_string()), "{role} {method} {path}: {answer:?}");
            if is_refused {
                answer.problem_fields();
                assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
            }
        }
    }
    assert_eq!(open, ["/healthz", "/readyz", "/v1/session"].map(str::to_string).into());
    service.stop();
}

#[test]
fn what_is_no_door_tells_strangers_nothing() {
    let folder = folder("access_no_door");
    let admin = key(&folder, "root", "admin");
    let service = with_keys(&folder).start();
    let mut client = service.client();
    assert_eq!(ask(&mut client, "GET", "/v1/nothing", &[], "").status, 401);
    assert_eq!(ask(&mut client, "TRACE", "/v1/stats", &[], "").status, 401);
    assert_eq!(ask(&mut client, "GET", "/v1/nothing", &[&bearer(&admin)], "").status, 404);
    for path in ["/healthz", "/readyz", "/openapi.json", "/some/view"] {
        assert!(matches!(ask(&mut client, "GET", path, &[], "").status, 200 | 404), "{path}");
    }
    for path in ["/v1//stats", "/v1/./stats", "/V1/stats", "/v1/stats/", "/%76%31/stats", "//v1/stats"] {
        let answer = ask(&mut client, "GET", path, &[], "");
        assert!(!answer.text().contains("rate_per_second"), "{path}: {answer:?}");
    }
    service.stop();
}

#[test]
fn a_key_ends_when_it_is_revoked_and_a_new_one_counts_without_a_restart() {
    let folder = folder("access_keys");
    let first = key(&folder, "first", "ingest");
    let service = with_keys(&folder).start();
    let post = |key: &str, number| {
        ask(&mut service.client(), "POST", "/v1/transactions", &[&bearer(key)], &numbered(number)).status
    };
    assert_eq!(post(&first, 1), 200);
    let by_header = format!("x-api-key: {first}");
    assert_eq!(
        ask(&mut service.client(), "POST", "/v1/labels", &[&by_header], &label("n1", true)).status,
        200
    );
    let second = key(&folder, "second", "ingest");
    wait_until("the new key counts", || post(&second, 2) == 200);
    succeed(&folder, "keys revoke --name first");
    wait_until("the old key does not", || post(&first, 3) == 401);
    assert_eq!(post(&second, 4), 200);
    // A file that is wrong changes nothing.
    let file = std::fs::read_to_string(folder.join("keys.toml")).unwrap();
    std::fs::write(folder.join("keys.toml"), "salt = 1").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(post(&second, 5), 200);
    std::fs::write(folder.join("keys.toml"), &file).unwrap();
    assert!(!file.contains(&second[3..]), "the file has no keys");
    for wrong in ["rf_", "rf_wrong", "", &second[..second.len() - 1], "a.b.c"] {
        assert_eq!(post(wrong, 6), 401, "{wrong}");
    }
    let listed = succeed(&folder, "keys list");
    assert!(listed.contains("revoked") && listed.contains("second"), "{listed}");
    service.stop();
}

#[test]
fn a_key_expires() {
    let folder = folder("access_expiry");
    let short = succeed(&folder, "keys create --name short --role admin --expires 3s").trim().to_string();
    let service = with_keys(&folder).start();
    let me = || ask(&mut service.client(), "GET", "/v1/me", &[&bearer(&short)], "");
    let answer = me();
    if answer.status == 200 {
        assert_eq!(answer.json(), json!({"name": "short", "roles": ["admin"], "authentication": "key"}));
    }
    wait_until("it has expired", || me().status == 401);
    service.stop();
}

fn refused(setup: &Setup) -> String {
    let output = run(&mut setup.command());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn beyond_this_machine_it_does_not_listen_in_the_open() {
    let folder = folder("access_listen");
    let setup = Setup::new(&folder.join("data")).with("REDFLAG_LISTEN", "0.0.0.0:0");
    let said = refused(&setup);
    assert!(said.contains("nobody is asked who they are") && said.contains("tls.certificate"), "{said}");
    let said = refused(&setup.clone().with("REDFLAG_TLS", "elsewhere"));
    assert!(said.contains("nobody is asked") && !said.contains("tls.certificate"), "{said}");
    key(&folder, "a", "admin");
    let keys = folder.join("keys.toml").display().to_string();
    let said = refused(&setup.clone().with("REDFLAG_ACCESS_KEYS", keys.clone()));
    assert!(!said.contains("nobody is asked") && said.contains("tls.certificate"), "{said}");
    setup.with("REDFLAG_TLS", "elsewhere").with("REDFLAG_ACCESS_KEYS", keys).start().stop();
}

/// Signs in; the cookie as a header.
fn sign_in(client: &mut Client, key: &str, headers: &[&str]) -> String {
    let answer = ask(client, "POST", "/v1/session", headers, &json!({"key": key}).to_string()).ok();
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    format!("cookie: {}", cookie.split(';').next().unwrap())
}

#[test]
fn a_session_is_for_the_page_alone() {
    let folder = folder("access_session");
    let anna = key(&folder, "anna", "analyst");
    let service = with_keys(&folder).start();
    let mut client = service.client();
    let from_here = "sec-fetch-site: same-origin";
    for wrong in [json!({"key": "rf_wrong"}), json!({"key": "a.b.c"}), json!({"key": ""})] {
        assert_eq!(ask(&mut client, "POST", "/v1/session", &[], &wrong.to_string()).status, 401);
    }
    assert_eq!(ask(&mut client, "POST", "/v1/session", &[], "{}").status, 422);
    let cookie = sign_in(&mut client, &anna, &[from_here]);
    let me = ask(&mut client, "GET", "/v1/me", &[&cookie], "").ok().json();
    assert_eq!(me, json!({"name": "anna", "roles": ["analyst"], "authentication": "session"}));
    let next = |client: &mut Client, headers: &[&str]| {
        ask(client, "POST", "/v1/alerts/next", headers, "{\"by\":\"bert\"}").status
    };
    assert_eq!(next(&mut client, &[&cookie, from_here]), 204);
    assert_eq!(next(&mut client, &[&cookie, "origin: http://here"]), 204);
    for elsewhere in
        ["sec-fetch-site: cross-site", "sec-fetch-site: same-site", "origin: http://there", "origin: null"]
    {
        assert_eq!(next(&mut client, &[&cookie, elsewhere]), 403, "{elsewhere}");
        let sign_in =
            ask(&mut client, "POST", "/v1/session", &[elsewhere], &json!({"key": anna}).to_string());
        assert_eq!(sign_in.status, 403, "nobody signs others in");
    }
    let live = |client: &mut Client, headers: &[&str]| {
        let upgrade = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"];
        let key = "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
        ask(client, "GET", "/v1/live", &[&upgrade[..], &[key], headers].concat(), "").status
    };
    assert_eq!(live(&mut service.client(), &[]), 401);
    assert_eq!(live(&mut service.client(), &[&cookie, "origin: http://there"]), 403);
    assert_eq!(live(&mut service.client(), &[&cookie, "origin: http://here"]), 101);
    ask(&mut client, "DELETE", "/v1/session", &[&cookie, from_here], "");
    assert_eq!(ask(&mut client, "GET", "/v1/me", &[&cookie], "").status, 401, "signed out");
    let cookie = sign_in(&mut client, &anna, &[]);
    succeed(&folder, "keys revoke --name anna");
    wait_until("the session ends with its key", || {
        ask(&mut client, "GET", "/v1/me", &[&cookie], "").status == 401
    });
    service.stop();
}

#[test]
fn without_authentication_other_sites_still_change_nothing() {
    let service = Setup::new(&folder("access_csrf").join("data")).start();
    let mut client = service.client();
    let post = |client: &mut Client, headers: &[&str]| {
        ask(client, "POST", "/v1/transactions", headers, &numbered(1)).status
    };
    assert_eq!(post(&mut client, &["sec-fetch-site: cross-site"]), 403);
    assert_eq!(post(&mut client, &["origin: https://elsewhere.example"]), 403);
    assert_eq!(post(&mut client, &[]), 200);
    let me = client.get("/v1/me").ok().json();
    assert_eq!((&me["name"], &me["authentication"]), (&Value::Null, &json!("off")));
    service.stop();
}

#[test]
fn who_asks_too_fast_is_told_to_wait() {
    let folder = folder("access_limits");
    let [anna, bert] = ["anna", "bert"].map(|name| key(&folder, name, "analyst"));
    let setup = with_keys(&folder).with("REDFLAG_LIMITS_PER_SECOND", "1").with("REDFLAG_LIMITS_BURST", "5");
    let service = setup.start();
    let mut client = service.client();
    let mut me = |key: &str| ask(&mut client, "GET", "/v1/me", &[&bearer(key)], "");
    let answers: Vec<Answer> = (0..20).map(|_| me(&anna)).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 200));
    let refused = answers.iter().find(|answer| answer.status == 429).expect("twenty are more than five");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(me(&bert).status, 200, "each has an allowance of their own");
    let mut strangers = (0..1_000)
        .map(|_| ask(&mut service.client(), "GET", "/v1/me", &["authorization: Bearer rf_guess"], ""));
    assert!(strangers.any(|answer| answer.status == 429), "guessing is limited");
    service.stop();
}

#[test]
fn a_slow_request_is_cut_off() {
    let setup = Setup::new(&folder("access_slow").join("data")).with("REDFLAG_LIMITS_REQUEST_WITHIN", "1s");
    let service = setup.start();
    let end = |said: &[u8]| {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(said).unwrap();
        let mut answer = String::new();
        // Cut off in the middle of a head there may be no answer at all.
        drop(stream.read_to_string(&mut answer));
        answer
    };
    assert!(!end(b"GET /v1/stats HT").contains("200 OK"));
    let answer = end(b"POST /v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{");
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("too long to arrive"), "{answer}");
    assert_eq!(service.client().get("/healthz").status, 200);
    service.stop();
}

/// The entries of the audit log, oldest first, as `(by, action, subject, outcome)`.
fn noted(client: &mut Client, admin: &str) -> Vec<[String; 4]> {
    let page = ask(client, "GET", "/v1/audit?limit=1000", &[&bearer(admin)], "").ok().json();
    let text = |entry: &Value, member: &str| entry[member].as_str().unwrap().to_string();
    let entries = page["items"].as_array().unwrap().iter().rev();
    entries.map(|entry| ["by", "action", "subject", "outcome"].map(|member| text(entry, member))).collect()
}

fn has(noted: &[[String; 4]], wanted: [&str; 4]) -> bool {
    noted.iter().any(|entry| *entry == wanted.map(str::to_string))
}

#[test]
fn changes_and_what_is_seen_of_people_are_noted_with_names() {
    let folder = folder("access_audit");
    let [gate, anna, root] = [("gate", "ingest"), ("anna", "analyst"), ("root", "admin")]
        .map(|(name, role)| key(&folder, name, role));
    let service = with_keys(&folder).start();
    let mut client = service.client();
    ask(&mut client, "POST", "/v1/transactions", &[&bearer(&gate)], &numbered(1)).ok();
    for _ in 0..3 {
        ask(&mut client, "GET", "/v1/decisions/n1", &[&bearer(&anna)], "").ok();
    }
    ask(&mut client, "GET", "/v1/entities/customer_id/4111111111111111", &[&bearer(&anna)], "");
    ask(&mut client, "POST", "/v1/alerts/next", &[&bearer(&anna)], "{\"by\":\"somebody else\"}");
    assert_eq!(ask(&mut client, "GET", "/v1/audit", &[&bearer(&anna)], "").status, 403);
    ask(&mut client, "GET", "/v1/stats", &[&bearer(&anna)], "").ok();
    wait_until("the readings are noted", || {
        has(&noted(&mut client, &root), ["anna", "audit.read", "/v1/audit", "403"])
    });
    let all = noted(&mut client, &root);
    assert!(has(&all, ["anna", "decision.read", "/v1/decisions/n1", "200"]), "{all:?}");
    assert!(has(&all, ["anna", "alert.next", "/v1/alerts/next", "204"]), "{all:?}");
    assert_eq!(all.iter().filter(|entry| entry[1] == "decision.read").count(), 1, "once a minute: {all:?}");
    assert!(
        !all.iter().any(|entry| entry[2].contains("transactions") || entry[2].contains("stats")),
        "{all:?}"
    );
    assert!(
        all.iter().any(|entry| entry[1] == "entity.read") && !format!("{all:?}").contains("41111111"),
        "{all:?}"
    );
    key(&folder, "new", "ingest");
    wait_until("the new key is noted", || {
        noted(&mut client, &root).iter().any(|entry| entry[1] == "key.add" && entry[2] == "new")
    });
    service.stop();
    let said = succeed(&folder, "audit verify --data-dir data");
    assert!(said.contains("each follows from the one before"), "{said}");
    let listed = succeed(&folder, "audit list --data-dir data --by anna --action alert.* --json");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let known = said.lines().last().unwrap().rsplit_once(' ').unwrap().1;
    succeed(&folder, &format!("audit verify --data-dir data --known {known}"));
    let tampered = rusqlite::Connection::open(folder.join("data/audit.db")).unwrap();
    tampered
        .execute_batch(
            "DROP TRIGGER audit_not_changed; UPDATE audit SET by = 'bert' WHERE action = 'decision.read'",
        )
        .unwrap();
    let output = run(redflag().current_dir(&folder).args(["audit", "verify", "--data-dir", "data"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn nobody_acts_in_the_name_of_another() {
    let folder = folder("access_names");
    let [gate, anna] = [("gate", "ingest"), ("anna", "analyst")].map(|(name, role)| key(&folder, name, role));
    let service = with_keys(&folder).with("REDFLAG_DETECTOR", "card").start();
    let mut client = service.client();
    // The rule of the detector `card` declines what comes from a blocked country.
    let payment = json!({"transaction_id": "a", "tx_datetime": "2018-04-01T12:00:00Z", "customer_id": "c",
                         "terminal_id": "t", "tx_amount": 10.0, "country": "IR"});
    ask(&mut client, "POST", "/v1/transactions", &[&bearer(&gate)], &payment.to_string()).ok();
    let next =
        ask(&mut client, "POST", "/v1/alerts/next", &[&bearer(&anna)], "{\"by\":\"bert\"}").ok().json();
    assert_eq!(next["assignee"], "anna", "{next}");
    let change =
        json!({"version": next["version"], "by": "bert", "action": "note", "note": "hm"}).to_string();
    let path = format!("/v1/alerts/{}", next["id"]);
    ask(&mut client, "PATCH", &path, &[&bearer(&anna)], &change).ok();
    let history = ask(&mut client, "GET", &path, &[&bearer(&anna)], "").ok().json();
    let history = history["history"].as_array().unwrap();
    assert!(
        history.iter().filter(|change| change["action"] == "note").all(|change| change["by"] == "anna"),
        "{history:?}"
    );
    service.stop();
}

fn openssl(folder: &Path, arguments: &str) -> String {
    let output = run(Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()));
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A certificate for 127.0.0.1 that vouches for itself.
fn certificate(folder: &Path, name: &str) {
    let subject = format!("-subj /CN={name} -addext subjectAltName=IP:127.0.0.1 -days 2");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout new.key -out new.crt";
    openssl(folder, &format!("req -x509 {key} {subject}"));
    std::fs::rename(folder.join("new.key"), folder.join("tls.key")).unwrap();
    std::fs::rename(folder.join("new.crt"), folder.join("tls.crt")).unwrap();
}

/// One request by OpenSSL's own client; all that it prints.
fn by_openssl(service: &Service, folder: &Path, options: &str, request: &str) -> String {
    let mut command = Command::new("openssl");
    let arguments = format!(
        "s_client -connect {} -quiet -verify_return_error -CAfile tls.crt {options}",
        service.address
    );
    command.current_dir(folder).args(arguments.split_whitespace());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn connections_are_encrypted_and_a_new_certificate_is_taken() {
    let folder = folder("access_tls");
    certificate(&folder, "first");
    let anna = key(&folder, "anna", "analyst");
    let path = |name: &str| folder.join(name).display().to_string();
    let setup = with_keys(&folder)
        .with("REDFLAG_TLS_CERTIFICATE", path("tls.crt"))
        .with("REDFLAG_TLS_KEY", path("tls.key"));
    let service = setup.spawn().wait_to_listen();
    let body = json!({"key": anna}).to_string();
    let request = format!(
        "POST /v1/session HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let said = by_openssl(&service, &folder, "-tls1_3", &request);
    assert!(
        said.contains("HTTP/1.1 200") && said.contains("__Host-redflag=") && said.contains("; Secure"),
        "{said}"
    );
    let get = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(by_openssl(&service, &folder, "-tls1_2", get).contains("HTTP/1.1 200"));
    assert!(
        !by_openssl(&service, &folder, "-tls1_1 -cipher DEFAULT@SECLEVEL=0", get).contains("HTTP/1.1 200")
    );
    let plain = service.client().send("GET", "/healthz", b"");
    assert!(plain.is_err(), "nothing is said in the open: {plain:?}");
    certificate(&folder, "second");
    wait_until("the new certificate is used", || {
        by_openssl(&service, &folder, "", get).contains("HTTP/1.1 200")
    });
    // A key that does not belong to the certificate changes nothing.
    openssl(&folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out tls.key");
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(by_openssl(&service, &folder, "", get).contains("HTTP/1.1 200"));
    service.stop();
    assert!(!run(&mut setup.command()).status.success(), "such a key is no key to begin with");
}

/// base64url of a file.
fn base64url(folder: &Path, file: &str) -> String {
    openssl(folder, &format!("base64 -A -in {file}"))
        .trim()
        .replace('+', "-")
        .replace('/', "_")
        .replace('=', "")
}

/// A JWT signed by OpenSSL with RS256 and the key in a file.
fn jwt(folder: &Path, key: &str, kid: &str, claims: &Value) -> String {
    let part = |value: &Value| {
        std::fs::write(folder.join("part"), value.to_string()).unwrap();
        base64url(folder, "part")
    };
    let message = format!("{}.{}", part(&json!({"alg": "RS256", "kid": kid})), part(claims));
    std::fs::write(folder.join("message"), &message).unwrap();
    openssl(folder, &format!("dgst -sha256 -sign {key} -out signature message"));
    format!("{message}.{}", base64url(folder, "signature"))
}

/// The public part of an RSA key in a file, as a JWK.
fn jwk(folder: &Path, key: &str, kid: &str) -> Value {
    let modulus = openssl(folder, &format!("rsa -in {key} -noout -modulus"));
    let hex = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    std::fs::write(folder.join("modulus"), bytes).unwrap();
    json!({"kty": "RSA", "use": "sig", "kid": kid, "n": base64url(folder, "modulus"), "e": "AQAB"})
}

#[test]
fn a_token_of_the_provider_opens_what_its_roles_open() {
    let folder = folder("access_tokens");
    for name in ["one.pem", "two.pem", "other.pem"] {
        openssl(&folder, &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {name}"));
    }
    let jwks = |keys: Vec<Value>| {
        std::fs::write(folder.join("jwks.json"), json!({"keys": keys}).to_string()).unwrap()
    };
    jwks(vec![jwk(&folder, "one.pem", "one")]);
    let setup = Setup::new(&folder.join("data"))
        .with("REDFLAG_ACCESS_ISSUER", "https://id.example.com")
        .with("REDFLAG_ACCESS_AUDIENCE", "redflag")
        .with("REDFLAG_ACCESS_JWKS", folder.join("jwks.json").display().to_string())
        .with("REDFLAG_ACCESS_ROLE_CLAIM", "realm_access.roles")
        .with("REDFLAG_ACCESS_ROLES", "fraud-team=analyst");
    let service = setup.start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "https://id.example.com", "aud": "redflag", "sub": "7", "preferred_username": "anna",
        "exp": now + 600, "realm_access": {"roles": ["fraud-team"]},
    });
    let me = |token: &str| ask(&mut service.client(), "GET", "/v1/me", &[&bearer(token)], "");
    let good = jwt(&folder, "one.pem", "one", &claims);
    let expected = json!({"name": "anna", "roles": ["analyst"], "authentication": "token"});
    assert_eq!(me(&good).ok().json(), expected);
    assert_eq!(me(&good).ok().json(), expected, "and again");
    let stats = ask(&mut service.client(), "GET", "/v1/stats", &[&bearer(&good)], "");
    let post = ask(&mut service.client(), "POST", "/v1/transactions", &[&bearer(&good)], &numbered(1));
    assert_eq!((stats.status, post.status), (200, 403));
    let wrong = [
        ("exp", json!(now - 600)),
        ("iss", json!("https://other")),
        ("aud", json!("other")),
        ("nbf", json!(now + 600)),
    ];
    for (name, value) in wrong {
        let mut claims = claims.clone();
        claims[name] = value;
        let answer = me(&jwt(&folder, "one.pem", "one", &claims));
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(me(&jwt(&folder, "other.pem", "one", &claims)).status, 401, "forged");
    let mut nobody = claims.clone();
    nobody["realm_access"] = json!({"roles": ["analyst", "admin"]});
    assert_eq!(me(&jwt(&folder, "one.pem", "one", &nobody)).status, 403, "the provider's names are not ours");
    // The provider changes its keys: a token that names the new one has them read again, when half a minute has passed since.
    let new = jwt(&folder, "two.pem", "two", &claims);
    assert_eq!(me(&new).status, 401);
    jwks(vec![jwk(&folder, "two.pem", "two")]);
    wait_until_slowly("the new key is known", || me(&new).status == 200);
    service.stop();
}

/// As [`wait_until`], for what is done every half minute, and without being too fast for a stranger.
fn wait_until_slowly(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(250));
    }
}
