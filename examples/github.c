#include "github.h"

/* A field a line is easier to read than what the formatter makes. */
/* clang-format off */

FERRY_ENUM_DEFINE(state, {STATE_OPEN, "open"}, {STATE_CLOSED, "closed"});

FERRY_STRUCT_DEFINE(account, struct account,
	FERRY_FIELD(login, .required = true),
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(type, .required = true),
	FERRY_FIELD(site_admin, .required = true));

FERRY_STRUCT_DEFINE(repository, struct repository,
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(name, .required = true),
	FERRY_FIELD(full_name, .required = true),
	FERRY_FIELD(is_private, .name = "private", .required = true),
	FERRY_OBJECT(owner, account, .required = true),
	FERRY_FIELD(description),
	FERRY_FIELD(language),
	FERRY_FIELD(fork, .required = true),
	FERRY_FIELD(stargazers_count, .required = true, .min = 0),
	FERRY_FIELD(default_branch, .required = true),
	FERRY_LIST(topics, topic_count),
	FERRY_FIELD(created_at, .required = true));

FERRY_STRUCT_DEFINE(label, struct label,
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(name, .required = true),
	FERRY_FIELD(color, .required = true, .min_length = 6, .max_length = 6),
	FERRY_FIELD(is_default, .name = "default", .required = true),
	FERRY_FIELD(description));

/* ---- github.push ---- */

FERRY_STRUCT_DEFINE(author, struct author,
	FERRY_FIELD(name, .required = true),
	FERRY_FIELD(email),
	FERRY_FIELD(username));

FERRY_STRUCT_DEFINE(commit, struct commit,
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(tree_id, .required = true),
	FERRY_FIELD(distinct, .required = true),
	FERRY_FIELD(message, .required = true),
	FERRY_FIELD(timestamp, .required = true),
	FERRY_OBJECT(author, author, .required = true),
	FERRY_OBJECT(committer, author, .required = true),
	FERRY_LIST(added, added_count),
	FERRY_LIST(removed, removed_count),
	FERRY_LIST(modified, modified_count));

FERRY_TOPIC_DEFINE(push, struct push, "github.push", 1,
	FERRY_FIELD(ref, .required = true, .doc = "The branch or tag: refs/heads/NAME, refs/tags/NAME."),
	FERRY_FIELD(before, .required = true, .doc = "All zeros when the branch is new."),
	FERRY_FIELD(after, .required = true, .doc = "All zeros when the branch was deleted."),
	FERRY_FIELD(created, .required = true),
	FERRY_FIELD(deleted, .required = true),
	FERRY_FIELD(forced, .required = true),
	FERRY_OBJECT_LIST(commits, commit_count, commit, .required = true),
	FERRY_OBJECT(head_commit, commit),
	FERRY_OBJECT(pusher, author, .required = true),
	FERRY_OBJECT(repository, repository, .required = true),
	FERRY_OBJECT(sender, account, .required = true));

/* ---- github.issues ---- */

FERRY_STRUCT_DEFINE(issue, struct issue,
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(number, .required = true, .min = 1),
	FERRY_FIELD(title, .required = true),
	FERRY_FIELD(body),
	FERRY_OBJECT(user, account),
	FERRY_ENUM(state, state),
	FERRY_OPTIONAL(locked),
	FERRY_OBJECT_LIST(labels, label_count, label),
	FERRY_OBJECT_LIST(assignees, assignee_count, account),
	FERRY_FIELD(comments, .required = true, .min = 0),
	FERRY_FIELD(closed_at),
	FERRY_FIELD(reactions));

FERRY_TOPIC_DEFINE(issues, struct issues, "github.issues", 1,
	FERRY_FIELD(action, .required = true),
	FERRY_OBJECT(issue, issue, .required = true),
	FERRY_FIELD(changes),
	FERRY_OBJECT(label, label),
	FERRY_OBJECT(assignee, account),
	FERRY_OBJECT(repository, repository, .required = true),
	FERRY_OBJECT(sender, account, .required = true));

/* ---- github.pull_request ---- */

FERRY_STRUCT_DEFINE(branch, struct branch,
	FERRY_FIELD(label),
	FERRY_FIELD(ref, .required = true),
	FERRY_FIELD(sha, .required = true),
	FERRY_OBJECT(user, account),
	FERRY_OBJECT(repo, repository));

FERRY_STRUCT_DEFINE(pull, struct pull,
	FERRY_FIELD(id, .required = true),
	FERRY_FIELD(title, .required = true),
	FERRY_FIELD(body),
	FERRY_OBJECT(user, account),
	FERRY_ENUM(state, state, .required = true),
	FERRY_FIELD(locked, .required = true),
	FERRY_FIELD(draft, .required = true),
	FERRY_FIELD(merged, .required = true),
	FERRY_OPTIONAL(mergeable),
	FERRY_FIELD(merge_commit_sha),
	FERRY_OBJECT(head, branch, .required = true),
	FERRY_OBJECT(base, branch, .required = true),
	FERRY_OBJECT_LIST(labels, label_count, label),
	FERRY_OBJECT_LIST(requested_reviewers, reviewer_count, account),
	FERRY_FIELD(commits, .required = true, .min = 0),
	FERRY_FIELD(additions, .required = true, .min = 0),
	FERRY_FIELD(deletions, .required = true, .min = 0),
	FERRY_FIELD(changed_files, .required = true, .min = 0));

FERRY_TOPIC_DEFINE(pull_request, struct pull_request, "github.pull_request", 1,
	FERRY_FIELD(action, .required = true),
	FERRY_FIELD(number, .required = true, .min = 1),
	FERRY_OBJECT(pull_request, pull, .required = true),
	FERRY_FIELD(before),
	FERRY_FIELD(after),
	FERRY_OBJECT(label, label),
	FERRY_OBJECT(assignee, account),
	FERRY_OBJECT(requested_reviewer, account),
	FERRY_OBJECT(repository, repository, .required = true),
	FERRY_OBJECT(sender, account, .required = true));
