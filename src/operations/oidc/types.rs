//! The types of the library with the claims that it does not know, among them the groups of a user.

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, Client, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims,
    IdTokenFields, StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every claim of an ID token that the library does not know.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

impl OtherClaims {
    /// The groups in this claim, which is a list of texts, or one text.
    pub(super) fn groups(&self, claim: &str) -> Vec<String> {
        match self.0.get(claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(group)) => vec![group.clone()],
            _ => vec![],
        }
    }
}

pub(super) type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;

type TokenFields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

pub(super) type Tokens = StandardTokenResponse<TokenFields, CoreTokenType>;

pub(super) type TokenRefusal = StandardErrorResponse<CoreErrorResponseType>;

/// A client of a discovered issuer.
pub(super) type IssuerClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenRefusal,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_a_list_or_one_text() {
        for (claims, groups) in [
            (r#"{"groups":["a","b"]}"#, vec!["a", "b"]),
            (r#"{"groups":"a"}"#, vec!["a"]),
            (r#"{"groups":["a",1,null]}"#, vec!["a"]),
            (r#"{"groups":{"a":true}}"#, vec![]),
            (r#"{"roles":["a"]}"#, vec![]),
        ] {
            let claims: OtherClaims = serde_json::from_str(claims).expect(claims);
            assert_eq!(claims.groups("groups"), groups, "{claims:?}");
        }
    }
}
