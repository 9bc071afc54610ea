//! Tokens of an identity provider: JWTs (RFC 7519) signed by one of its keys, checked as RFC 8725 asks.
//!
//! Which algorithm is used is told by the key, never by the token: `none` and HMAC with a public key as the secret find no
//! key that they fit.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::role::{Role, Roles};

/// Clocks may differ by so much.
const SKEW_S: f64 = 60.0;

/// No provider makes longer ones.
const BYTES_MAX: usize = 16 << 10;

/// What a token must say, and how it says who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Who made it: `iss`.
    pub issuer: String,
    /// For whom it was made: one of `aud`.
    pub audience: String,
    /// The claim with the roles: its name, or a path with dots, as `realm_access.roles`.
    pub role_claim: String,
    /// The claim with the name that is noted; `sub` where there is none.
    pub name_claim: String,
    /// Roles by the provider's names; none: its names are ours.
    pub roles: Vec<(String, Role)>,
}

/// Who a good token speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What they may do; it may be nothing.
    pub roles: Roles,
    /// Until when the token is good, in seconds since 1970.
    pub expires_s: f64,
}

/// Why a token is not good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error("it is no signed JWT")]
    Malformed,
    /// Nobody says what it means.
    #[error("it has extensions that must be understood")]
    Critical,
    /// The provider has no such key.
    #[error("it is signed by a key that the issuer does not have")]
    UnknownKey,
    /// The key is for another algorithm.
    #[error("its algorithm is {0:?}, and its key is for another one")]
    Algorithm(String),
    /// Somebody else made it, or changed it.
    #[error("its signature is wrong")]
    Signature,
    /// Its time has passed.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not good yet")]
    Early,
    /// A claim is missing or wrong.
    #[error("its {0} is not the expected one")]
    Claim(&'static str),
}

/// The public keys of a provider (a JWK set, RFC 7517).
#[derive(Debug, Default)]
pub struct KeySet(Vec<PublicKey>);

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    algorithm: &'static str,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    for_what: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// Reads a JWK set. Keys that are not for signatures of a kind that is known are left out.
    ///
    /// # Errors
    /// If it is none, or no key is left.
    pub fn parse(json: &[u8]) -> anyhow::Result<KeySet> {
        let jwks: Jwks = serde_json::from_slice(json)?;
        let keys = jwks.keys.into_iter().filter_map(|value| public_key(serde_json::from_value(value).ok()?));
        let keys: Vec<PublicKey> = keys.collect();
        anyhow::ensure!(!keys.is_empty(), "there is no key for RS256, ES256 or EdDSA among them");
        Ok(KeySet(keys))
    }

    /// The key that a token names; a provider with one key need not name it.
    fn find(&self, id: Option<&str>) -> Option<&PublicKey> {
        match id {
            Some(_) => self.0.iter().find(|key| key.id.as_deref() == id),
            None => self.0.first().filter(|_| self.0.len() == 1),
        }
    }
}

fn public_key(jwk: Jwk) -> Option<PublicKey> {
    let bytes = |text: Option<String>| BASE64.decode(text?).ok();
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => ("RS256", Key::Rsa(RsaPublicKeyComponents { n: bytes(jwk.n)?, e: bytes(jwk.e)? })),
        // An uncompressed point (SEC 1, 2.3.3).
        ("EC", Some("P-256")) => ("ES256", Key::P256([vec![4], bytes(jwk.x)?, bytes(jwk.y)?].concat())),
        ("OKP", Some("Ed25519")) => ("EdDSA", Key::Ed25519(bytes(jwk.x)?)),
        _ => return None,
    };
    let is_for_this =
        jwk.for_what.is_none_or(|what| what == "sig") && jwk.alg.is_none_or(|alg| alg == algorithm);
    is_for_this.then_some(PublicKey { id: jwk.kid, algorithm, key })
}

impl PublicKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        match &self.key {
            Key::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Key::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Key::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        }
        .map_err(|_| Refused::Signature)
    }
}

/// Checks a token; who it speaks for.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected, now_s: f64) -> Result<Person, Refused> {
    let (message, signature) = split(token).ok_or(Refused::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Refused::Malformed)?;
    let header: Header = decode(header).ok_or(Refused::Malformed)?;
    if header.crit.is_some() {
        return Err(Refused::Critical);
    }
    let key = keys.find(header.kid.as_deref()).ok_or(Refused::UnknownKey)?;
    if key.algorithm != header.alg {
        return Err(Refused::Algorithm(header.alg.chars().take(16).collect()));
    }
    key.verify(message.as_bytes(), &signature)?;
    let claims: Map<String, Value> = decode(payload).ok_or(Refused::Malformed)?;
    person(&claims, expected, now_s)
}

fn split(token: &str) -> Option<(&str, Vec<u8>)> {
    let (message, signature) = token.rsplit_once('.').filter(|_| token.len() <= BYTES_MAX)?;
    Some((message, BASE64.decode(signature).ok()?))
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

fn person(claims: &Map<String, Value>, expected: &Expected, now_s: f64) -> Result<Person, Refused> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Refused::Claim(name)),
    };
    let expires_s = time("exp")?.ok_or(Refused::Claim("exp"))?;
    if now_s >= expires_s + SKEW_S {
        return Err(Refused::Expired);
    }
    if [time("nbf")?, time("iat")?].into_iter().flatten().any(|from_s| now_s < from_s - SKEW_S) {
        return Err(Refused::Early);
    }
    if text("iss") != Some(&*expected.issuer) {
        return Err(Refused::Claim("iss"));
    }
    if !claims.get("aud").is_some_and(|aud| texts(aud).any(|one| one == expected.audience)) {
        return Err(Refused::Claim("aud"));
    }
    let name = text(&expected.name_claim).or_else(|| text("sub")).map(str::trim);
    let name = name.filter(|name| !name.is_empty()).ok_or(Refused::Claim("sub"))?;
    Ok(Person { name: name.chars().take(200).collect(), roles: roles(claims, expected), expires_s })
}

/// A text, or an array of texts.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let many = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn roles(claims: &Map<String, Value>, expected: &Expected) -> Roles {
    let claim = claims.get(&expected.role_claim).or_else(|| {
        let mut steps = expected.role_claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    });
    let role = |name: &str| match expected.roles.as_slice() {
        [] => Role::from_name(name),
        roles => roles.iter().find(|(theirs, _)| theirs == name).map(|(_, role)| *role),
    };
    claim.into_iter().flat_map(texts).filter_map(role).collect()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    const NOW_S: f64 = 1_800_000_000.0;

    fn expected() -> Expected {
        Expected {
            issuer: "https://id.example.com".into(),
            audience: "redflag".into(),
            role_claim: "realm_access.roles".into(),
            name_claim: "preferred_username".into(),
            roles: Vec::new(),
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example.com", "aud": ["other", "redflag"], "sub": "7", "preferred_username": "anna",
            "exp": NOW_S + 300.0, "nbf": NOW_S, "realm_access": {"roles": ["analyst", "offline_access"]},
        })
    }

    fn signer() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn part(value: &Value) -> String {
        BASE64.encode(value.to_string())
    }

    fn signed_as(header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = BASE64.encode(signer().sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn signed(claims: &Value) -> String {
        signed_as(&json!({"alg": "EdDSA", "kid": "one"}), claims)
    }

    fn jwk() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": BASE64.encode(signer().public_key())})
    }

    fn check(token: &str) -> Result<Person, Refused> {
        let keys = KeySet::parse(json!({"keys": [{"kty": "oct", "k": "AA"}, jwk()]}).to_string().as_bytes());
        verify(token, &keys.unwrap(), &expected(), NOW_S)
    }

    #[test]
    fn a_good_token_speaks_for_somebody() {
        let person = check(&signed(&claims())).unwrap();
        assert_eq!((person.name.as_str(), person.roles), ("anna", Roles::NONE.and(Role::Analyst)));
    }

    #[test]
    fn a_wrong_claim_is_refused() {
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            check(&signed(&claims)).map(|person| person.name)
        };
        assert_eq!(with("exp", json!(NOW_S - 61.0)), Err(Refused::Expired));
        assert_eq!(with("exp", Value::Null), Err(Refused::Claim("exp")));
        assert_eq!(with("exp", json!("tomorrow")), Err(Refused::Claim("exp")));
        assert_eq!(with("nbf", json!(NOW_S + 61.0)), Err(Refused::Early));
        assert_eq!(with("iss", json!("https://id.example.com/")), Err(Refused::Claim("iss")));
        assert_eq!(with("aud", json!("redflag2")), Err(Refused::Claim("aud")));
        assert_eq!(with("aud", json!([])), Err(Refused::Claim("aud")));
        assert_eq!(with("preferred_username", Value::Null), Ok("7".to_string()));
    }

    #[test]
    fn a_forged_token_is_refused() {
        let good = signed(&claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut other = claims();
        other["realm_access"]["roles"] = json!(["admin"]);
        let forged = format!("{}.{}.{signature}", message.split_once('.').unwrap().0, part(&other));
        assert_eq!(check(&forged), Err(Refused::Signature));
        for text in ["", ".", "..", "a.b", message, &format!("{message}."), &good[1..], &"x".repeat(20_000)] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_key_says_the_algorithm() {
        for algorithm in ["none", "None", "HS256", "RS256", "ES256", ""] {
            let token = signed_as(&json!({"alg": algorithm, "kid": "one"}), &claims());
            assert_eq!(check(&token), Err(Refused::Algorithm(algorithm.to_string())));
        }
        // HMAC with the public key as the secret.
        let message = format!("{}.{}", part(&json!({"alg": "HS256", "kid": "one"})), part(&claims()));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer().public_key().as_ref());
        let tag = BASE64.encode(ring::hmac::sign(&secret, message.as_bytes()));
        assert_eq!(check(&format!("{message}.{tag}")), Err(Refused::Algorithm("HS256".to_string())));
        let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "kid": "one"})), part(&claims()));
        assert_eq!(check(&unsigned), Err(Refused::Algorithm("none".to_string())));
    }

    #[test]
    fn a_key_must_be_known_and_be_for_signatures() {
        let unknown = signed_as(&json!({"alg": "EdDSA", "kid": "two"}), &claims());
        assert_eq!(check(&unknown), Err(Refused::UnknownKey));
        let unnamed = signed_as(&json!({"alg": "EdDSA"}), &claims());
        assert!(check(&unnamed).is_ok(), "there is one key only");
        let critical = signed_as(&json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"]}), &claims());
        assert_eq!(check(&critical), Err(Refused::Critical));
        let mut for_encryption = jwk();
        for_encryption["use"] = json!("enc");
        assert!(KeySet::parse(json!({"keys": [for_encryption]}).to_string().as_bytes()).is_err());
    }

    #[test]
    fn es256_is_checked_too() {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
        let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]});
        let keys = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
        let message = format!("{}.{}", part(&json!({"alg": "ES256"})), part(&claims()));
        let signature = pair.sign(&random, message.as_bytes()).unwrap();
        let token = |signature: &[u8]| format!("{message}.{}", BASE64.encode(signature));
        assert!(verify(&token(signature.as_ref()), &keys, &expected(), NOW_S).is_ok());
        assert_eq!(verify(&token(&[0; 64]), &keys, &expected(), NOW_S), Err(Refused::Signature));
    }

    #[test]
    fn roles_are_found_where_providers_put_them() {
        let of = |claim: &str, value: Value, roles: &[(&str, Role)]| {
            let roles = roles.iter().map(|(name, role)| (name.to_string(), *role)).collect();
            let expected = Expected { role_claim: claim.to_string(), roles, ..expected() };
            super::roles(value.as_object().unwrap(), &expected)
        };
        let admin = Roles::NONE.and(Role::Admin);
        assert_eq!(of("roles", json!({"roles": ["admin"]}), &[]), admin);
        assert_eq!(of("https://a.b/roles", json!({"https://a.b/roles": "admin"}), &[]), admin);
        let groups = json!({"groups": ["g-17", "admin"]});
        assert_eq!(of("groups", groups, &[("g-17", Role::Engineer)]), Roles::NONE.and(Role::Engineer));
        assert!(of("roles", json!({"roles": {"admin": true}}), &[]).is_empty());
        assert!(of("a.b", json!({"a": 1}), &[]).is_empty());
    }
}
