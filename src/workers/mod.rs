//! The loops that make things happen: CRM reading, inbox, timers, the outbox, replanning.
