/** test/compile/access/identities.test.ts on the older Envoys that we support. */
import t from "tap";
import { FORMS, identitiesAreSingle, passesWithoutTheRule, WITHOUT_THE_RULE } from "../compile/access/identityScene.js";

for (const version of ["1.36.2", "1.38.3"]) {
	for (const form of Object.keys(FORMS)) {
		t.test(`only one identity counts, ${form}, Envoy ${version}`, (t) => identitiesAreSingle(t, version, form));
		t.test(`without the rule a caller chooses, ${form}, Envoy ${version}`, async (t) => {
			t.same(await passesWithoutTheRule(t, version, form), WITHOUT_THE_RULE[form]);
		});
	}
}
