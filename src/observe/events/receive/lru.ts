/** LRU cache; the only importer of the package lru-cache. */
export { LRUCache } from "lru-cache";
