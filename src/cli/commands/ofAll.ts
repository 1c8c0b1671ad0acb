/** Ends a sentence about an empty answer: the caller may lack the right to read more. */
export const ofAll = (partial: true | undefined): string => (partial === true ? " that you may read" : "");
