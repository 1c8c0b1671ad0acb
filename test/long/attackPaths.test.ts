/** All spellings of protected paths, in every execution. */
import t from "tap";
import { pathsStayClosed } from "../attack/pathFuzz.js";
import { FORMS } from "../attack/scene.js";

t.setTimeout(3_600_000);

for (const form of Object.keys(FORMS)) {
	t.test(form, { timeout: 1_200_000 }, (t) => pathsStayClosed(t, form, 1));
}
