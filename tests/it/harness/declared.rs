//! Holds every response of the tests against the OpenAPI document.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../openapi/openapi.json")).expect("the committed document")
});

/// # Panics
/// If the operation does not declare the status. Paths and methods outside of the document, which are answered with 404
/// and 405, are not checked.
pub(crate) fn assert_declared(method: &Method, path: &str, status: u16) {
    let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
    let method = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let Some((template, item)) = paths.iter().find(|(template, _)| matches(template, path)) else { return };
    let Some(operation) = item.get(&method) else { return };
    let declared = operation["responses"].as_object().expect("responses");
    assert!(
        declared.contains_key(&status.to_string()),
        "{method} {template} answered {status}, but openapi/openapi.json declares {:?}: add the error to the operation",
        declared.keys().collect::<Vec<_>>()
    );
}

/// Whether a path fits a template such as `/api/v1/jobs/{id}`.
fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(part, text)| part.starts_with('{') || part == text)
}
