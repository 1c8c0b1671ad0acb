/** Bounds of how control reaches Envoys of other machines for the built-in probe. */

/** Questions of one attendance that are under way at once: probes of each Gateway of an Envoy, and its pages. */
export const ATTENDANCE_QUESTIONS_MAX = 100;

/**
 * Services of one Gateway that are probed at once: 1,000 at an Envoy that is 100 ms away take 13 s, and not three minutes. Each is
 * a connection there for a moment.
 */
export const ATTENDANCE_PROBES_MAX = 16;

/**
 * A round that takes longer is told as one that does, with what stood: who asks for a report waits for no slow keeper. Below the
 * pause between two rounds, and more than the largest page takes of an Envoy that is busy.
 */
export const ATTENDANCE_ROUND_MS = 20_000;

/** Fields of one of its messages, those of its parts too: the fullest has six. */
export const ATTENDANCE_FIELDS_MAX = 32;

/** One question: a filter of counters, or a host. */
export const ATTENDANCE_QUESTION_BYTES_MAX = 64 * 1024;

/** A filter of counters: the longest of ours has some 600 characters. */
export const ATTENDANCE_FILTER_CHARS_MAX = 8 * 1024;

/** What a probe was answered: no verdict of ours is as long. */
export const ATTENDANCE_BODY_CHARS_MAX = 1_024;

/** Why no answer came, for a person. */
export const ATTENDANCE_WHY_CHARS_MAX = 300;

/** What an answer may take beside what Envoy may: the way to another machine and back. */
export const ATTENDANCE_ANSWER_MS = 2_000;

/** How long a round waits for a keeper that opens its connection anew, as it does every few minutes and when control was away. */
export const ATTENDANCE_PATIENCE_MS = 2_000;

/** From one try of a keeper to the next: the first, and the longest. */
export const ATTENDANCE_RETRY_MS = 250;
export const ATTENDANCE_RETRY_MS_MAX = 10_000;

/**
 * How long after a keeper has gone, or its Envoy has come, nobody says that it does not answer: its next try may be that far away, and
 * another process's is refused until the one before it is known to be gone.
 */
export const ATTENDANCE_COMES_MS = ATTENDANCE_RETRY_MS_MAX + 5_000;

/** A machine that vanished without closing is noticed in these two together. */
export const ATTENDANCE_KEEPALIVE_MS = 10_000;
export const ATTENDANCE_KEEPALIVE_ANSWER_MS = 10_000;

/**
 * An Envoy of which nothing is heard for so long serves no more, or is another machine's business by now: what stood of it is
 * told until then. Of an outage over a weekend it is.
 */
export const REMOTE_ENVOY_FORGOTTEN_MS = 7 * 24 * 3_600_000;
