/** A certificate with several ids, or none, is unauthenticated in every execution (X509-SVID section 2). */
import t from "tap";
import { FORMS, identitiesAreSingle, passesWithoutTheRule, WITHOUT_THE_RULE } from "./identityScene.js";

const VERSION = "1.40.0";

for (const form of Object.keys(FORMS)) {
	t.test(`a certificate needs exactly one identity, ${form}`, (t) => identitiesAreSingle(t, VERSION, form));
	t.test(`without the rule a caller could choose its identity, ${form}`, async (t) => {
		t.same(await passesWithoutTheRule(t, VERSION, form), WITHOUT_THE_RULE[form]);
	});
}
