//! A small world: open or lost deals, one email list, one funnel.

/// Our resources, without the deals.
pub fn world(smtp: u16) -> String {
    WORLD.replace("SMTP_PORT", &smtp.to_string())
}

/// Deals D0 … with a client each.
pub fn deals(n: usize, lost: bool) -> String {
    let now = jiff::Timestamp::now();
    let (stage, reason) = if lost { ("Lost", "price") } else { ("Talks", "") };
    let row =
        |i: usize| format!("    D{i},Flat,Sales,{stage},{reason},1000,{now},{now},{now},M1,Client {i},client{i}@mail.example\n");
    let rows: String = (0..n).map(row).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: deals}}\ndata:\n  deals.csv: |\n    \
         id,title,pipeline,stage,lostReason,amount,createdAt,stageChangedAt,lastActivityAt,manager,name,email\n{rows}"
    )
}

/// The list alone, with a subject.
pub fn list(subject: &str) -> String {
    let from = WORLD.find("apiVersion: rekindle.dev/v1alpha1\nkind: ContentList").unwrap();
    let list = WORLD[from..].split("\n---\n").next().unwrap();
    list.replace("A better price", subject)
}

const WORLD: &str = r#"apiVersion: rekindle.dev/v1alpha1
kind: CrmConnection
metadata: {name: crm}
spec:
  type: File
  file:
    deals: {configMap: {name: deals, key: deals.csv}}
    stages: {won: [Won], lost: [Lost]}
  sync: {every: 1s}
---
apiVersion: rekindle.dev/v1alpha1
kind: MessageChannel
metadata: {name: mail}
spec:
  email: {from: {name: Sales, address: hello@news.example.com}}
  providers: [{name: relay, type: Smtp, smtp: {host: 127.0.0.1, port: SMTP_PORT, tls: None, connections: 4}}]
  rate: {perSecond: 10000, burst: 10000}
---
apiVersion: rekindle.dev/v1alpha1
kind: ContactPolicy
metadata: {name: default}
spec:
  brand: acme
  consent: {advertising: AssumedFromCrm}
  timeZone: UTC
  windows: [{from: "00:00", to: "24:00"}]
  spread: 0s
---
apiVersion: rekindle.dev/v1alpha1
kind: ContentList
metadata: {name: price}
spec:
  title: Price
  items:
    - name: offer
      email:
        subject: "A better price"
        markdown: "[See it]({{ links.offer }})"
      links: {offer: "https://shop.example/offer"}
---
apiVersion: rekindle.dev/v1alpha1
kind: ReactivationFunnel
metadata: {name: sales}
spec:
  mode: Live
  source: {crmRef: {name: crm}}
  policyRef: {name: default}
  channels: [{name: mail, ref: {name: mail}}]
  stages:
    warming:
      - name: warming
        enter: [{lost: [price]}]
        content: [{listRef: {name: price}}]
    revived: {returnTo: {stage: Talks}}
"#;
