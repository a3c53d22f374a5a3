//! One contract for all stores: each case runs on SQLite, on PostgreSQL and in memory.

mod cases;
mod differential;
mod levels;
mod opening;
mod races;
mod speed;
mod statements;
pub mod world;

use crate::peers;
use rekindle::store::Store;
use sqlx::{Connection as _, Executor as _};

/// An empty database of one kind.
pub struct Backend {
    pub url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Backend {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}", folder.path().join("r.db").display()), _folder: Some(folder) }
    }

    pub async fn postgres() -> Option<Self> {
        Some(Self { url: peers::postgres::database().await?, _folder: None })
    }

    /// The same database, for somebody else.
    pub fn beside(other: &Self) -> Self {
        Self { url: other.url.clone(), _folder: None }
    }

    pub fn memory() -> Self {
        Self { url: "memory:".into(), _folder: None }
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// Behind the store's back. False: this kind has no back.
    pub async fn execute(&self, statement: &str) -> bool {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        if self.url.starts_with("postgres") {
            sqlx::PgConnection::connect(&self.url).await.unwrap().execute(statement).await.unwrap();
        } else if self.url.starts_with("sqlite") {
            sqlx::SqliteConnection::connect(&self.url).await.unwrap().execute(statement).await.unwrap();
        } else {
            return false;
        }
        true
    }
}

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::cases::$case(&super::Backend::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(backend) = super::Backend::postgres().await {
                    super::cases::$case(&backend).await;
                }
            })*
        }
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::cases::$case(&super::Backend::memory()).await;
            })*
        }
    };
}

contract!(
    one_engine_at_a_time,
    a_lost_lease_stores_nothing,
    a_takeover_turns_open_messages_into_unknown_and_write_backs_into_due,
    a_channel_that_resends_keeps_its_text_over_a_takeover,
    a_person_resolves_what_nobody_could_tell,
    hand_overs_are_counted,
    after_a_restore_no_old_id_means_anything_new_and_known_ones_keep_their_meaning,
    a_decision_on_an_old_version_is_dropped,
    the_same_item_is_never_written_twice,
    a_deal_seen_twice_has_one_copy,
    several_decisions_about_one_copy_stand_together,
    sent_messages_count_and_certain_failures_are_given_back,
    what_went_out_again_keeps_its_place,
    a_bounce_gives_no_place_back,
    two_clients_with_one_phone_are_counted_together,
    an_event_is_stored_once,
    what_a_clock_that_is_ahead_has_stamped_waits_for_nothing,
    what_is_put_off_comes_back_as_it_was_left,
    events_that_commit_late_are_not_lost,
    a_poison_event_is_set_aside_visibly,
    a_copy_that_cannot_be_processed_is_set_aside,
    a_hold_stops_messages_and_nothing_else,
    what_is_known_to_be_on_hold_stands_in_nobodys_way,
    a_held_message_whose_text_died_with_its_process_is_shown_as_failed,
    revisions_are_numbered_by_content,
    money_is_counted_with_the_intent_and_given_back,
    other_deals_of_a_client_know_in_whose_name_a_funnel_speaks,
    a_message_decided_on_an_old_revision_is_decided_again,
    a_receipt_may_come_before_the_mark,
    a_receipt_by_the_providers_id_may_come_before_the_mark,
    two_channels_may_name_their_providers_alike,
    a_number_that_a_gateway_gives_again_is_the_newest_messages,
    outcomes_only_get_stronger,
    an_outcome_is_stored_after_the_lease_is_lost,
    a_retry_keeps_its_text_and_an_old_attempt_cannot_undo_it,
    a_task_that_was_tried_very_often_still_goes_out_one_day,
    a_hard_bounce_suppresses_the_address,
    write_backs_of_a_deal_keep_their_order,
    clients_who_share_an_address_are_one,
    a_deal_may_come_before_its_contact,
    a_deal_that_changes_its_contact_changes_its_client,
    an_unsubscription_holds_from_its_arrival,
    who_was_written_to_opts_out_though_the_deal_changed_hands,
    who_wants_no_more_of_one_medium_keeps_the_other,
    a_mailbox_that_nobody_had_is_opted_out_for_whoever_gets_it,
    a_withdrawn_consent_outlives_the_crms_yes,
    a_no_to_an_address_holds_whichever_of_its_contacts_is_edited,
    a_number_that_was_corrected_joins_no_strangers,
    who_left_the_crm_is_forgotten_and_what_was_done_is_not,
    what_waits_for_a_busy_connection_hides_nothing_behind_it,
    an_older_page_never_overwrites_a_newer_state,
    a_subject_holds_everything_known,
    signals_find_their_client,
    news_of_a_contact_reach_all_deals_of_the_person,
    due_copies_come_oldest_first,
    backfill_takes_fresh_losses_first,
    who_comes_to_backfill_later_waits_by_their_own_loss,
    what_waits_is_counted_by_its_reason,
    clicks_are_kept_and_judged,
    what_is_useless_is_forgotten_and_the_ledger_never,
    a_text_that_waits_for_a_person_does_not_wait_for_ever,
    of_a_deal_long_gone_nothing_remains_that_a_person_wrote,
    hostile_texts_come_back_as_they_are,
    people_can_read_what_happened,
    a_passage_counts_as_what_it_became_and_when,
    contacted_is_whom_a_message_may_have_reached,
    variants_are_counted_by_what_came_of_them,
    revivals_of_before_are_known_when_their_deals_have_left,
    absurd_amounts_stop_no_figures,
    stages_can_be_replayed,
    reactions_are_counted_by_their_pace,
);
