use super::*;

#[test]
fn request_finds_its_operation() {
    for (method, path, expected) in [
        ("GET", "/", "openRoot"),
        ("GET", "/api/v1/jobs/17", "getJob"),
        ("HEAD", "/api/v1/jobs/17", "getJob"),
        ("POST", "/api/v1/jobs/17/cancel", "cancelJob"),
        ("PATCH", "/api/v1/reconciliation/discrepancies", "moveDiscrepancies"),
        ("DELETE", "/api/v1/exports/17", "removeExport"),
        ("GET", "/ws", "openWebSocketAlias"),
        ("GET", "/payments", "openConsoleView"),
        ("GET", "/merchants/91game/m%2F7", "openConsoleView"),
        ("HEAD", "/assets/main-1a2b.js", "getConsoleAsset"),
    ] {
        let found = find(&method.parse().expect("a method"), path);
        assert!(matches!(&found, Found::Policy(policy) if policy.operation == expected), "{method} {path} {found:?}");
    }
}

#[test]
fn other_methods_of_a_path_are_listed() {
    for (method, path, expected) in [
        ("POST", "/api/v1/jobs", vec!["GET", "HEAD"]),
        ("GET", "/api/v1/jobs/17/cancel", vec!["POST"]),
        ("PUT", "/api/v1/exports/17", vec!["GET", "DELETE", "HEAD"]),
        ("POST", "/api/docs", vec!["GET", "HEAD"]),
    ] {
        let found = find(&method.parse().expect("a method"), path);
        assert!(matches!(&found, Found::OtherMethods(methods) if *methods == expected), "{method} {path} {found:?}");
    }
}

#[test]
fn unknown_paths_are_not_found() {
    for path in [
        "",
        "/api",
        "/api/v1",
        "/api/v1/jobs/17/cancel/now",
        "/api/v1/jobs/",
        "/api/v1/%6Aobs",
        "//",
        "/ws/",
        "/payment",
    ] {
        assert!(matches!(find(&Method::GET, path), Found::Nothing), "{path}");
    }
}

#[test]
fn each_operation_and_each_call_has_one_row() {
    for (index, policy) in POLICIES.iter().enumerate() {
        for other in &POLICIES[index + 1..] {
            assert_ne!(policy.operation, other.operation);
            assert_ne!((policy.method, policy.path), (other.method, other.path));
        }
    }
}
