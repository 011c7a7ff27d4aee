//! The client against a server that misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::net::test_server::{Reply, TestServer, answer, bytes};

const LIMITS: Limits = Limits { max_bytes: 1000, timeout: Duration::from_secs(20) };

fn options() -> ClientOptions {
    ClientOptions {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        user_agent: "herald-test/1".to_owned(),
        ..ClientOptions::default()
    }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

async fn get(url: &Url) -> Result<Answer, NetError> {
    client().get(url, HeaderMap::new(), LIMITS).await
}

async fn get_raw(reply: Vec<u8>) -> Result<Answer, NetError> {
    let server = TestServer::start(move |_, _| Reply::Raw(reply.clone())).await;
    get(&server.url("/")).await
}

#[tokio::test]
async fn an_answer_comes_back_whole_and_the_request_says_little() {
    let server = TestServer::start(|_, _| answer(404, &[("x-a", "b")], "body")).await;
    let mut headers = HeaderMap::new();
    headers.insert("signature", "s".parse().unwrap());
    let got = client().get(&server.url("/a?b=c"), headers, LIMITS).await.unwrap();
    assert_eq!(
        (got.status.as_u16(), &got.body[..], &got.headers["x-a"]),
        (404, &b"body"[..], &"b".parse().unwrap())
    );
    let hit = &server.hits()[0];
    assert_eq!((hit.method.as_str(), hit.target.as_str()), ("GET", "/a?b=c"));
    assert_eq!(hit.headers["host"], server.address.to_string());
    assert_eq!(hit.headers["user-agent"], "herald-test/1");
    assert_eq!(hit.headers["accept-encoding"], "identity");
    assert_eq!(hit.headers["signature"], "s");
    assert!(!hit.headers.contains_key("cookie") && !hit.headers.contains_key("referer"));
}

#[tokio::test]
async fn redirects_are_answers() {
    let server = TestServer::start(|base, _| answer(302, &[("location", &format!("{base}/b"))], "")).await;
    assert_eq!(get(&server.url("/a")).await.unwrap().status, StatusCode::FOUND);
    assert_eq!(server.hits().len(), 1);
}

#[tokio::test]
async fn bodies_have_a_cap_announced_or_not() {
    let full = vec![b'x'; 1000];
    assert_eq!(get_raw(bytes(200, &[], &full)).await.unwrap().body.len(), 1000);
    assert_eq!(get_raw(bytes(200, &[], vec![b'x'; 1001])).await.unwrap_err(), NetError::TooLarge(1000));
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    assert_eq!(get_raw(announced).await.unwrap_err(), NetError::TooLarge(1000));
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
    assert_eq!(get_raw(chunked.into_bytes()).await.unwrap_err(), NetError::TooLarge(1000));
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000));
    assert_eq!(get_raw(until_close.into_bytes()).await.unwrap_err(), NetError::TooLarge(1000));
}

#[tokio::test]
async fn encodings_nobody_offered_are_refused() {
    for encoding in ["gzip", "br", "gzip, gzip", "x-unknown"] {
        let got = get_raw(bytes(200, &[("content-encoding", encoding)], "zzz")).await.unwrap_err();
        assert_eq!(got, NetError::Encoding(encoding.to_owned()));
        assert!(!got.is_transient());
    }
    assert!(get_raw(bytes(200, &[("content-encoding", "identity")], "ok")).await.is_ok());
}

#[tokio::test]
async fn slow_answers_end_at_the_deadline_of_the_whole_exchange() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n";
    for reply in [&head[..], b"HTTP/1.1 200 OK\r\nx-slow: ", b"HTTP/1.1 200 O"] {
        let reply = reply.to_vec();
        let server =
            TestServer::start(move |_, _| Reply::Drip(reply.clone(), Duration::from_millis(20))).await;
        let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
        let started = std::time::Instant::now();
        let got = client().get(&server.url("/"), HeaderMap::new(), limits).await.unwrap_err();
        assert_eq!(got, NetError::Timeout(Duration::from_millis(300)));
        assert!(got.is_transient() && started.elapsed() < LIMITS.timeout);
    }
}

#[tokio::test]
async fn broken_answers_are_transient_protocol_errors() {
    let mut lines = String::from("HTTP/1.1 200 OK\r\n");
    (0..100_000).for_each(|n| lines.push_str(&format!("x-{n}: y\r\n")));
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec();
    for raw in [b"SSH-2.0-x\r\n\r\n".to_vec(), lines.into_bytes(), short] {
        let got = get_raw(raw).await.unwrap_err();
        assert!(matches!(got, NetError::Protocol(_)) && got.is_transient(), "{got:?}");
    }
}

#[tokio::test]
async fn addresses_are_checked_as_literals_and_after_the_lookup() {
    let server = TestServer::start(|_, _| answer(200, &[], "secret")).await;
    let guarded = Client::new(ClientOptions { allow_private: Vec::new(), ..options() }).unwrap();
    let port = server.address.port();
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "169.254.169.254", "localhost"] {
        let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
        let got = guarded.get(&url, HeaderMap::new(), LIMITS).await.unwrap_err();
        assert!(matches!(got, NetError::RefusedAddress(_)) && !got.is_transient(), "{host}: {got:?}");
        let got = guarded.post(&url, HeaderMap::new(), Bytes::new(), After::Close).await.unwrap_err();
        assert!(matches!(got, NetError::RefusedAddress(_)), "{host}: {got:?}");
    }
    assert!(server.hits().is_empty());
    assert!(get(&server.url("/")).await.is_ok());
    let by_name = Url::parse(&format!("http://localhost:{port}/")).unwrap();
    assert!(get(&by_name).await.is_ok());
}

#[tokio::test]
async fn http_and_our_own_host_are_refused_before_any_lookup() {
    let strict = Client::new(ClientOptions { allow_http: false, ..options() }).unwrap();
    let get = |client: Client, url: &str| {
        let url = Url::parse(url).unwrap();
        async move { client.get(&url, HeaderMap::new(), LIMITS).await.unwrap_err() }
    };
    for url in ["http://peer.example/", "ftp://peer.example/", "file:///etc/passwd"] {
        let got = get(strict.clone(), url).await;
        assert!(matches!(got, NetError::RefusedScheme(_)), "{url}: {got:?}");
    }
    let own_hosts = vec!["Stream.example".to_owned(), "127.0.0.1:8585".to_owned()];
    let own = Client::new(ClientOptions { own_hosts, ..options() }).unwrap();
    for url in ["https://stream.example/u", "https://STREAM.example:8443/", "http://127.0.0.1:8585/"] {
        assert!(matches!(get(own.clone(), url).await, NetError::OwnHost(_)), "{url}");
    }
    assert!(matches!(get(own, "http://127.0.0.1:1/").await, NetError::Connect(_)));
}

#[tokio::test]
async fn failures_to_connect_are_told_apart() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let got = get(&Url::parse(&format!("http://{unused}/")).unwrap()).await.unwrap_err();
    assert!(matches!(got, NetError::Connect(_)) && got.is_transient(), "{got:?}");
    let got = get(&Url::parse("http://no-such-name.invalid/").unwrap()).await.unwrap_err();
    assert!(matches!(got, NetError::Connect(_)) && got.is_transient(), "{got:?}");
    let plain = TestServer::start(|_, _| answer(200, &[], "")).await;
    let tls = TlsToPlain::start().await;
    let got = get(&Url::parse(&format!("https://{}/", tls.0)).unwrap()).await.unwrap_err();
    assert!(matches!(got, NetError::Tls(_)) && got.is_transient(), "{got:?}");
    drop(plain);
}

/// A server that answers a TLS greeting with plain HTTP.
struct TlsToPlain(std::net::SocketAddr);

impl TlsToPlain {
    async fn start() -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 2048];
            let _ = stream.read(&mut greeting).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        Self(address)
    }
}

#[tokio::test]
async fn a_post_carries_its_bytes_and_counts_once_answered() {
    let server = TestServer::start(|_, _| answer(202, &[("retry-after", "5")], vec![b'x'; 100_000])).await;
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/activity+json".parse().unwrap());
    let got =
        client().post(&server.url("/inbox"), headers, Bytes::from_static(b"{}"), After::Close).await.unwrap();
    assert_eq!((got.status.as_u16(), got.body.len()), (202, POST_ANSWER_BYTES));
    assert_eq!(got.headers["retry-after"], "5");
    let hit = &server.hits()[0];
    assert_eq!(
        (hit.method.as_str(), &hit.body[..], &hit.headers["content-length"]),
        ("POST", &b"{}"[..], &"2".parse().unwrap())
    );

    let drip = b"HTTP/1.1 202 Accepted\r\ncontent-length: 900\r\n\r\n".to_vec();
    let slow = TestServer::start(move |_, _| Reply::Drip(drip.clone(), Duration::from_millis(20))).await;
    // The status must come within it, and the rest does not.
    let patient = Client::new(ClientOptions { timeout: Duration::from_secs(3), ..options() }).unwrap();
    let got = patient.post(&slow.url("/inbox"), HeaderMap::new(), Bytes::new(), After::Close).await.unwrap();
    assert_eq!(got.status, StatusCode::ACCEPTED);
    let silent =
        TestServer::start(|_, _| Reply::Gated(Arc::new(tokio::sync::Semaphore::new(0)), Vec::new())).await;
    let quick = Client::new(ClientOptions { timeout: Duration::from_millis(400), ..options() }).unwrap();
    let got =
        quick.post(&silent.url("/inbox"), HeaderMap::new(), Bytes::new(), After::Close).await.unwrap_err();
    assert_eq!(got, NetError::Timeout(Duration::from_millis(400)));
}

#[test]
fn unusable_authorities_are_named() {
    let missing = ClientOptions { extra_ca: Some("/no/such/file.pem".into()), ..options() };
    let file = tempfile::NamedTempFile::new().unwrap();
    let empty = ClientOptions { extra_ca: Some(file.path().to_owned()), ..options() };
    for options in [missing, empty] {
        let path = options.extra_ca.clone().unwrap().display().to_string();
        let got = Client::new(options).unwrap_err();
        assert!(matches!(&got, NetError::Client(what) if what.contains(&path)), "{got}");
    }
}

/// A server with a certificate of an authority that nobody knows; gives the authority's PEM and the port.
fn private_authority() -> (Vec<u8>, u16) {
    use openssl::asn1::{Asn1Integer, Asn1Time};
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::ssl::{SslAcceptor, SslMethod};
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509, X509NameBuilder};
    use std::io::{Read, Write};

    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(1).unwrap()).unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().dns("localhost").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();

    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(mut stream) = acceptor.accept(stream) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&bytes(200, &[], "over tls"));
                let _ = stream.shutdown();
            }
        }
    });
    (certificate.to_pem().unwrap(), port)
}

#[tokio::test]
async fn certificates_count_unless_their_authority_is_configured() {
    let (pem, port) = private_authority();
    let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
    let got = get(&url).await.unwrap_err();
    assert!(matches!(&got, NetError::Tls(what) if what.contains("certificate verify failed")), "{got:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let knowing = Client::new(ClientOptions { extra_ca: Some(file.path().to_owned()), ..options() }).unwrap();
    let got = knowing.get(&url, HeaderMap::new(), LIMITS).await.unwrap();
    assert_eq!(&got.body[..], b"over tls");
    let other_name = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
    assert!(matches!(knowing.get(&other_name, HeaderMap::new(), LIMITS).await, Err(NetError::Tls(_))));
}

/// A server over TLS that says which version of HTTP each request came in, and how many connections it took.
async fn over_tls(offers: &'static [&'static str]) -> (Url, tempfile::NamedTempFile, Arc<AtomicUsize>) {
    over_tls_with(offers, |stream| async move {
        let version = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
            let body = http_body_util::Full::new(Bytes::from(format!("{:?}", request.version())));
            async { Ok::<_, std::convert::Infallible>(http::Response::new(body)) }
        });
        let _ = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new())
            .serve_connection(hyper_util::rt::TokioIo::new(stream), version)
            .await;
    })
    .await
}

/// A server over TLS that does as told with each connection; its certificate, and how many connections it took.
async fn over_tls_with<T: Future<Output = ()> + Send + 'static>(
    offers: &'static [&'static str],
    each: impl Fn(tokio_native_tls::TlsStream<tokio::net::TcpStream>) -> T + Send + Clone + 'static,
) -> (Url, tempfile::NamedTempFile, Arc<AtomicUsize>) {
    use openssl::asn1::Asn1Time;
    use openssl::x509::extension::SubjectAlternativeName;
    let key = openssl::pkey::PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = openssl::x509::X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let name =
        SubjectAlternativeName::new().ip("127.0.0.1").build(&certificate.x509v3_context(None, None)).unwrap();
    certificate.append_extension(name).unwrap();
    certificate.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    let certificate = certificate.build().to_pem().unwrap();
    let identity =
        native_tls::Identity::from_pkcs8(&certificate, &key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let acceptor = native_tls::TlsAcceptor::builder(identity).accept_alpn(offers).build().unwrap();
    let acceptor = tokio_native_tls::TlsAcceptor::from(acceptor);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (acceptor, each) = (acceptor.clone(), each.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    each(stream).await;
                }
            });
        }
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &certificate).unwrap();
    (url, file, connections)
}

/// Where a failure came decides whether the request may have arrived.
#[tokio::test]
async fn what_fails_before_the_connection_stands_was_surely_not_received_and_what_fails_later_may_have_been()
{
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", silent.local_addr().unwrap())).unwrap();
    let hasty = ClientOptions { connect_timeout: Duration::from_millis(50), ..options() };
    let got = Client::new(hasty).unwrap().post(&url, HeaderMap::new(), Bytes::new(), After::Close).await;
    assert!(matches!(got, Err(NetError::Connect(_))), "no handshake in time: {got:?}");

    let (url, authority, _) = over_tls_with(&["http/1.1"], |mut stream| async move {
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        // Dropped without a word of TLS.
    })
    .await;
    let trusting = ClientOptions { extra_ca: Some(authority.path().to_owned()), ..options() };
    let body = Bytes::from_static(b"x");
    let got = Client::new(trusting).unwrap().post(&url, HeaderMap::new(), body, After::Close).await;
    assert!(matches!(got, Err(NetError::Protocol(_))), "it may have been taken: {got:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_a_lone_connection_is_not_kept() {
    for (offers, version, closed_by_the_last) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0", 0), (&["http/1.1"], "HTTP/1.1", 1)]
    {
        let (url, authority, connections) = over_tls(offers).await;
        let trusting = ClientOptions { extra_ca: Some(authority.path().to_owned()), ..options() };
        let client = Client::new(trusting).unwrap();
        let post = async |after| {
            let answer = client.post(&url, HeaderMap::new(), Bytes::from_static(b"x"), after).await.unwrap();
            String::from_utf8(answer.body.to_vec()).unwrap()
        };
        for after in [After::Close, After::Close, After::Keep, After::Keep] {
            assert_eq!(post(after).await, version, "{after:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 3, "{version}");
        assert_eq!(post(After::Last).await, version);
        assert_eq!(connections.load(Ordering::SeqCst), 3, "{version}: the last goes where one was kept");
        assert_eq!(post(After::Keep).await, version);
        assert_eq!(connections.load(Ordering::SeqCst), 3 + closed_by_the_last, "{version}");
        let stranger = self::client().post(&url, HeaderMap::new(), Bytes::new(), After::Close).await;
        assert!(matches!(stranger, Err(NetError::Tls(_))), "{stranger:?}");
    }
}

#[tokio::test]
async fn who_takes_a_connection_is_known_before_the_answer() {
    let server =
        TestServer::start(|_, _| Reply::Gated(Arc::new(tokio::sync::Semaphore::new(0)), Vec::new())).await;
    let options = ClientOptions { connect_timeout: Duration::from_millis(200), ..options() };
    let client = Client::new(options).unwrap();
    let other = client.for_another_runtime().unwrap();
    let nobody: Url = "http://127.0.0.1:1/".parse().unwrap();
    client.get(&nobody, HeaderMap::new(), LIMITS).await.unwrap_err();
    // It takes connections, and does not speak TLS.
    let mute: Url = format!("https://{}/", server.address).parse().unwrap();
    client.get(&mute, HeaderMap::new(), LIMITS).await.unwrap_err();
    assert!(client.last_opened().is_none());
    let limits = Limits { timeout: Duration::from_secs(2), ..LIMITS };
    client.get(&server.url("/"), HeaderMap::new(), limits).await.unwrap_err();
    assert!(client.last_opened().is_some() && other.last_opened().is_none());
}

#[tokio::test]
async fn only_who_is_asked_again_is_kept_connected() {
    let server = TestServer::start(|_, _| answer(200, &[], "{}")).await;
    let client = client();
    for _ in 0..3 {
        client.get(&server.url("/actor"), HeaderMap::new(), LIMITS).await.unwrap();
    }
    let closes = server.hits().iter().map(|hit| hit.headers.contains_key("connection")).collect::<Vec<_>>();
    assert_eq!(closes, [true, false, false]);
}
