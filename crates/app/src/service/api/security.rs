//! What the OpenAPI document says of access: who may use each operation, as the table of doors has it.

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};

use crate::service::access::doors::{DOORS, Least};

/// How one says who one is.
const SCHEMES: [&str; 2] = ["key", "session"];

/// Adds to a document how one says who one is, and which roles each operation is open to.
pub fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description =
        Some("an API key (redflag keys create), or a token of the identity provider".to_string());
    components.add_security_scheme(SCHEMES[0], SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::with_description(
        "redflag",
        "the page's cookie; __Host-redflag where connections are encrypted",
    );
    components.add_security_scheme(SCHEMES[1], SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.security = requirements(&method, path);
        }
    }
}

/// The methods that doors have.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

/// Any one of these will do; none if the door is open. `None` if there is no such door in the table.
fn requirements(method: &Method, path: &str) -> Option<Vec<SecurityRequirement>> {
    let pattern = pattern(path);
    let door = DOORS.iter().find(|door| door.method == *method && door.path == pattern)?;
    Some(match door.least {
        Least::Nothing => Vec::new(),
        Least::One(roles) => SCHEMES.map(|scheme| SecurityRequirement::new(scheme, roles.names())).to_vec(),
    })
}

/// A path of the document as the table writes it, without names.
fn pattern(path: &str) -> String {
    let part = |part| if str::starts_with(part, '{') { "{}" } else { part };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_line_in_the_table_and_every_line_its_operation() {
        let (_, mut document) = crate::service::api::documented();
        let mut described = Vec::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                assert!(operation.security.is_some(), "{method} {path} has no line in access/doors.rs");
                described.push((method, pattern(path)));
            }
        }
        // Two are no part of the API proper.
        for door in DOORS.iter().filter(|door| !["/metrics", "/openapi.json"].contains(&door.path)) {
            let is_described = described.contains(&(door.method.clone(), door.path.to_string()));
            assert!(is_described, "{} {} has a line, but there is no such door", door.method, door.path);
        }
    }
}
