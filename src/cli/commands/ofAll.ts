/**
 * The end of a sentence that says there is nothing: of an answer that leaves out what the caller may not read, nothing of
 * the rest is known.
 */
export const ofAll = (partial: true | undefined): string => (partial === true ? " that you may read" : "");
