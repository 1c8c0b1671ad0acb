/** What stands and does not count, or serves nothing, for another namespace took back what it rested on: a grant, a DataClass. Pure. */

import type { Resource, ResourceSet } from "../resource.js";
import { unplaced } from "./dataClass.js";
import { severed } from "./reference.js";

/** In words for who may read the namespace of the resource. */
export const withdrawn = (set: ResourceSet): readonly { readonly resource: Resource; readonly words: string }[] => [
	...severed(set),
	...unplaced(set),
];
