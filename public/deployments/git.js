/** Where a site's source lies in Git, in Vercel's own words. */

/** What each host calls a repository, and how it is written. */
export const HOSTS = {
  github: { label: "Repository", hint: "owner/repository" },
  gitlab: { label: "Project id", hint: "12345678" },
  bitbucket: { label: "Repository", hint: "workspace/repository" },
};

/** @typedef {keyof typeof HOSTS} Host */

const ADDRESS = /^(?:https?:\/\/)?(?:www\.)?(github|gitlab|bitbucket)\.(?:com|org)\//i;

/** The host whose address was pasted, if it was one. @param {string} text */
export function hostOf(text) {
  const host = ADDRESS.exec(text.trim())?.[1]?.toLowerCase();
  return /** @type {Host | undefined} */ (host);
}

/**
 * The member `gitSource` of the request. Throws an Error that says what is missing.
 * https://vercel.com/docs/rest-api/deployments/create-a-new-deployment
 *
 * @param {Host} host
 * @param {string} repository
 * @param {string} ref a branch, a tag or a commit
 */
export function gitSource(host, repository, ref) {
  const path = repository.trim().replace(ADDRESS, "").replace(/(\.git)?\/*$/, "");
  if (host === "gitlab") {
    if (!/^\d+$/.test(path)) throw new Error("GitLab's project id is a number: its page shows it.");
    return { type: host, projectId: path, ref };
  }
  const [owner, name, ...rest] = path.split("/");
  if (!owner || !name || rest.length) throw new Error(`Write the repository as ${HOSTS[host].hint}.`);
  return host === "github"
    ? { type: host, org: owner, repo: name, ref }
    : { type: host, owner, slug: name, ref };
}
