//! The access policy as a table for people, in docs/security.md.

use super::policy::{AuditRule, CostClass, POLICIES, Policy, ScopeRule};
use crate::domain::access::Role;

/// A Markdown table with a row per operation.
#[must_use]
pub fn markdown() -> String {
    let header =
        "| operation | call | role | project scope | audited | cost |\n| --- | --- | --- | --- | --- | --- |\n";
    POLICIES.iter().fold(header.to_owned(), |table, policy| table + &row(policy))
}

fn row(policy: &Policy) -> String {
    let Policy { operation, method, path, role, scope, audit, cost } = policy;
    let role = role.map_or("none: no key", Role::as_str);
    let scope = match scope {
        ScopeRule::Filtered => "filtered",
        ScopeRule::AllProjects => "all projects: 403",
        ScopeRule::NoProjects => "no data of projects",
    };
    let audit = match audit {
        AuditRule::Never => "",
        AuditRule::Always => "always",
        AuditRule::LargeFiles => "above 1,000 rows",
        AuditRule::RawPayloads => "with raw payloads",
    };
    let cost = match cost {
        CostClass::Light => "light",
        CostClass::Expensive => "expensive",
        CostClass::Export => "export",
    };
    format!("| `{operation}` | `{method} {path}` | {role} | {scope} | {audit} | {cost} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_table_is_current() {
        let document = include_str!("../../../../docs/security.md");
        let documented = document
            .split("<!-- operations: begin -->\n")
            .nth(1)
            .and_then(|rest| rest.split("<!-- operations: end").next());
        assert!(documented == Some(&*markdown()), "run make openapi");
    }
}
