//! `proxy-config` beside an agent, and once it has been stopped.

use crate::support::stage::{Stage, quick};

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_told_the_same_when_the_agent_has_been_stopped() {
    let mut stage = Stage::start(quick(), &[]).await;
    let printed = async |stage: &Stage| {
        let output = stage.agent.cli_by_file(&["proxy-config", "nginx"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let running = printed(&stage).await;
    assert!(running.contains("/federation/user/streamer"), "{running}");
    stage.agent.stop().await;
    assert_eq!(printed(&stage).await, running);
}
