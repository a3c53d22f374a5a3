//! What is served over HTTP: tracking, unsubscribe, hooks, signals, health, metrics.
