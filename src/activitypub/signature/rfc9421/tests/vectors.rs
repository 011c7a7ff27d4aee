//! What others signed: the RFC's own vectors, and a real request.

use super::*;

/// The test request of appendix B.2.
fn vector() -> HeaderMap {
    headers(&[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", WIDE),
        ("content-length", "18"),
    ])
}

/// Base and signature of a vector over that request.
fn base(input: &str, signature: &str, headers: &HeaderMap) -> Result<(String, Vec<u8>), SignatureProblem> {
    let mut all = parse(&format!("sig={input}"), &format!("sig={signature}"))?;
    let own = own("https://example.com");
    let target =
        Target { method: &Method::POST, path_and_query: "/foo?param=Value&Pet=dog", own: &own, headers };
    let signed = all.remove(0);
    Ok((String::from_utf8(signed.base(&target)?).unwrap(), signed.signature))
}

// Appendix B.1.1, B.1.2 and B.1.4.
const TEST_KEY_RSA: &str = "-----BEGIN RSA PUBLIC KEY-----\n\
    MIIBCgKCAQEAhAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrw\n\
    WEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFq\n\
    MGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd/QBwVW9OwNFhekro3RtlinV0a75jfZg\n\
    kne/YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0P\n\
    uKxI4T+HIaFpv8+rdV6eUgOrB2xeI1dSFFn/nnv5OoZJEIB+VmuKn3DCUcCZSFlQ\n\
    PSXSfBDiUGhwOw76WuSSsf1D4b/vLoJ10wIDAQAB\n-----END RSA PUBLIC KEY-----\n";
const TEST_KEY_RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\n\
    +QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\n\
    oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\n\
    gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\n\
    Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\n\
    aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\n\
    2wIDAQAB\n-----END PUBLIC KEY-----\n";
const TEST_KEY_ED25519: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";
const TEST_KEY_ECC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n\
    w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END PUBLIC KEY-----\n";

const B21: &str = ":d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzX\
    aJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVr\
    ogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:";
const B23: &str = ":bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768Zr\
    CUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7J\
    A1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:";
const B26: &str =
    ":wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";

#[test]
fn vectors_of_appendix_b() {
    let pss = PublicKey::from_pem(TEST_KEY_RSA_PSS).unwrap();
    let edwards = PublicKey::from_pem(TEST_KEY_ED25519).unwrap();
    let b21 = "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"";
    let b23 = "(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" \
               \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"";
    let b26 = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473\
               ;keyid=\"test-key-ed25519\"";
    let date = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n";
    for (input, signature, lines, key, algorithm) in [
        (b21, B21, String::new(), &pss, Algorithm::RsaPssSha512),
        (
            b23,
            B23,
            format!(
                "{date}\"@query\": ?param=Value&Pet=dog\n\"@authority\": example.com\n\"content-type\": application/json\n\
                 \"content-digest\": {WIDE}\n\"content-length\": 18\n"
            ),
            &pss,
            Algorithm::RsaPssSha512,
        ),
        (
            b26,
            B26,
            format!(
                "{date}\"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n"
            ),
            &edwards,
            Algorithm::Ed25519,
        ),
    ] {
        let (text, bytes) = base(input, signature, &vector()).unwrap();
        assert_eq!(text, format!("{lines}\"@signature-params\": {input}"));
        assert_eq!(key.verify(algorithm, text.as_bytes(), &bytes), Ok(()), "{input}");
        let wrong = text.replace("1618884473", "1618884474");
        assert_eq!(key.verify(algorithm, wrong.as_bytes(), &bytes), Err(SignatureProblem::Mismatch));
        let mut stranger = vector();
        stranger.insert("date", HeaderValue::from_static("Tue, 20 Apr 2021 02:07:56 GMT"));
        let (other, _) = base(input, signature, &stranger).unwrap();
        assert_eq!(key.verify(algorithm, other.as_bytes(), &bytes).is_ok(), lines.is_empty(), "{input}");
    }
    // B.2.2 covers @query-param, B.2.4 and B.2.5 are by ECDSA and HMAC: none of the three is taken.
    let b22 = "(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473\
               ;keyid=\"test-key-rsa-pss\";tag=\"header-example\"";
    assert_eq!(base(b22, B21, &vector()).unwrap_err().code(), "component-unsupported");
    assert!(PublicKey::from_pem(TEST_KEY_ECC).is_err());
}

#[test]
fn a_proxys_signature_of_section_4_3() {
    let mut received = vector();
    received.insert("date", HeaderValue::from_static("Tue, 20 Apr 2021 02:07:56 GMT"));
    received.insert("forwarded", HeaderValue::from_static("for=192.0.2.123;host=example.com;proto=https"));
    let input = "sig1=(\"@method\" \"@authority\" \"@path\" \"content-digest\" \"content-type\" \"content-length\")\
        ;created=1618884475;keyid=\"test-key-ecc-p256\", proxy_sig=(\"@method\" \"@authority\" \"@path\" \"content-digest\" \
        \"content-type\" \"content-length\" \"forwarded\");created=1618884480;keyid=\"test-key-rsa\"\
        ;alg=\"rsa-v1_5-sha256\";expires=1618884540";
    let signature = "sig1=:X5spyd6CFnAG5QnDyHfqoSNICd+BUP4LYMz2Q0JXlb//4Ijpzp+kve2w4NIyqeAuM7jTDX+sNalzA8ESSaHD3A==:, \
        proxy_sig=:S6ZzPXSdAMOPjN/6KXfXWNO/f7V6cHm7BXYUh3YD/fRad4BCaRZxP+JH+8XY1I6+8Cy+CM5g92iHgxtRPz+MjniOaYmdkDcnL9cCp\
        XJleXsOckpURl49GwiyUpZ10KHgOEe11sx3G2gxI8S0jnxQB+Pu68U9vVcasqOWAEObtNKKZd8tSFu7LB5YAv0RAGhB8tmpv7sFnIm9y+7X5kXQf\
        i8NMaZaA8i2ZHwpBdg7a6CMfwnnrtflzvZdXAsD3LH2TwevU+/PBPv0B6NMNk93wUs/vfJvye+YuI87HU38lZHowtznbLVdp770I6VHR6WfgS9ddz\
        irrswsE1w5o0LV/g==:";
    let own = own("https://origin.host.internal.example");
    let target = Target {
        method: &Method::POST,
        path_and_query: "/foo?param=Value&Pet=dog",
        own: &own,
        headers: &received,
    };
    let all = parse(input, signature).unwrap();
    let claims = all[1].claims(false, true).unwrap();
    assert_eq!((claims.key_id.as_str(), claims.algorithm), ("test-key-rsa", Algorithm::RsaV15Sha256));
    assert_eq!((claims.created.as_second(), claims.expires), (1_618_884_480, Some(1_618_884_540)));
    let key = PublicKey::from_pem(TEST_KEY_RSA).unwrap();
    assert_eq!(key.verify(claims.algorithm, &all[1].base(&target).unwrap(), &all[1].signature), Ok(()));
    // Both would do: neither does.
    received.insert("signature-input", input.parse().unwrap());
    received.insert("signature", signature.parse().unwrap());
    received.insert("host", HeaderValue::from_static("origin.host.internal.example"));
    let at = claims.created;
    let both = precheck(&Method::POST, "/foo", &received, BODY, &own, at).unwrap_err();
    assert_eq!(both.code(), "signature-ambiguous");
}

#[test]
fn a_real_request_of_mitra() {
    // No Date, and the parameters in another order. Only the digest is over this body; the key is not ours to hold.
    let body = br#"{"@context":["https://www.w3.org/ns/activitystreams","https://w3id.org/security/v1","https://w3id.org/security/data-integrity/v2",{"Emoji":"toot:Emoji","Hashtag":"as:Hashtag","sensitive":"as:sensitive","toot":"http://joinmastodon.org/ns#"}],"actor":"https://mitra.social/users/silverpill","id":"https://mitra.social/activities/bite/019e0810-4c45-7ee2-8ef5-5cf0301a39ef","target":"https://marius.federated.id","to":["https://marius.federated.id"],"type":"Bite"}"#;
    let input = "(\"@method\" \"@target-uri\" \"content-digest\");keyid=\"https://mitra.social/users/silverpill#main-key\"\
                 ;created=1778251834;alg=\"rsa-v1_5-sha256\"";
    let received = headers(&[
        ("host", "marius.federated.id"),
        ("content-digest", "sha-256=:Ne3sI5+36+54SZkfRoROfH63nbDK84hEikozFWME4fw=:"),
        ("signature-input", &format!("sig1={input}")),
        (
            "signature",
            "sig1=:cwLpgfNFKSF2SZfz5eXTRJLuBOOXuzeEV/wbq7Y9i/NACcP8Uyi2iNiwa1QAbeKYunBG3cVplWvXgCVJYwYI241s6t01iKx7tB6upS8hLANlrbHAkY+c0YKfJaPpaWgWZV44k4DEMP47z5AqZVoRCPqGZUvXWuSbMqAy6CAHNiHp9Tb8mZcpZKFuskP+0Lz972I+rwYGdGCd4UGi7tuJZUY8eW99QIHSiBUqXZs5sSmvzi5JxhlKfXhuob6F7f7fUqfj7iMx/A+4EMi9lf/O+uo/P9fZisXOsX65H/T74vlXCXaascia9c7HHiQdbXhrTuoKB9yhNX1sAel7szdiPw==:",
        ),
    ]);
    let at = Timestamp::from_second(1_778_251_840).unwrap();
    let own = own("https://marius.federated.id");
    let unverified = precheck(&Method::POST, "/inbox", &received, body, &own, at).unwrap();
    assert_eq!(unverified.key_id, "https://mitra.social/users/silverpill#main-key");
    assert_eq!(unverified.signed_at.as_second(), 1_778_251_834);
}
