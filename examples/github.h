/*
 * github.h - three of GitHub's webhook events as typed topics, with the members that a program asks for.
 *
 * Payloads have far more members; those that are not declared are skipped.  What GitHub sends as null, or
 * leaves out, is a NULL string, list or pointer here, or has a `has_...` beside it.
 */
#ifndef EXAMPLES_GITHUB_H
#define EXAMPLES_GITHUB_H

#include <ferry/topic.h>

/* ---- what the events have in common ---- */

struct account {
	const char *login;
	int64_t id;
	const char *type;
	bool site_admin;
};
FERRY_STRUCT_DECLARE(account, struct account);

struct repository {
	int64_t id;
	const char *name;
	const char *full_name;
	bool is_private; /* "private" is a word of C++ */
	struct account owner;
	const char *description;
	const char *language;
	bool fork;
	int64_t stargazers_count;
	const char *default_branch;
	const char *const *topics;
	size_t topic_count;
	struct ferry_json created_at; /* seconds in a push, a date elsewhere */
};
FERRY_STRUCT_DECLARE(repository, struct repository);

struct label {
	int64_t id;
	const char *name;
	const char *color;
	bool is_default;
	const char *description;
};
FERRY_STRUCT_DECLARE(label, struct label);

enum state { STATE_UNKNOWN, STATE_OPEN, STATE_CLOSED };

/* ---- github.push ---- */

struct author {
	const char *name;
	const char *email;
	const char *username;
};
FERRY_STRUCT_DECLARE(author, struct author);

struct commit {
	const char *id;
	const char *tree_id;
	bool distinct;
	const char *message;
	const char *timestamp;
	struct author author;
	struct author committer;
	const char *const *added;
	size_t added_count;
	const char *const *removed;
	size_t removed_count;
	const char *const *modified;
	size_t modified_count;
};
FERRY_STRUCT_DECLARE(commit, struct commit);

struct push {
	const char *ref;
	const char *before;
	const char *after;
	bool created, deleted, forced;
	const struct commit *commits;
	size_t commit_count;
	const struct commit *head_commit; /* NULL when a branch was deleted */
	struct author pusher;
	struct repository repository;
	struct account sender;
};
FERRY_TOPIC_DECLARE(push, struct push);

/* ---- github.issues ---- */

struct issue {
	int64_t id;
	int64_t number;
	const char *title;
	const char *body;
	const struct account *user; /* NULL: it exists no more */
	enum state state;
	bool has_locked, locked;
	const struct label *labels;
	size_t label_count;
	const struct account *assignees;
	size_t assignee_count;
	int64_t comments;
	const char *closed_at;
	struct ferry_json reactions; /* "+1" is no name for a member in C */
};
FERRY_STRUCT_DECLARE(issue, struct issue);

struct issues {
	const char *action;
	struct issue issue;
	struct ferry_json changes; /* differs by action */
	const struct label *label; /* the one that was put on or taken off */
	const struct account *assignee;
	struct repository repository;
	struct account sender;
};
FERRY_TOPIC_DECLARE(issues, struct issues);

/* ---- github.pull_request ---- */

struct branch {
	const char *label;
	const char *ref;
	const char *sha;
	const struct account *user;
	const struct repository *repo; /* NULL: the fork was deleted */
};
FERRY_STRUCT_DECLARE(branch, struct branch);

struct pull {
	int64_t id;
	const char *title;
	const char *body;
	const struct account *user;
	enum state state;
	bool locked, draft, merged;
	bool has_mergeable, mergeable; /* not known at first */
	const char *merge_commit_sha;
	struct branch head;
	struct branch base;
	const struct label *labels;
	size_t label_count;
	const struct account *requested_reviewers;
	size_t reviewer_count;
	int64_t commits, additions, deletions, changed_files;
};
FERRY_STRUCT_DECLARE(pull, struct pull);

struct pull_request {
	const char *action;
	int64_t number;
	struct pull pull_request;
	const char *before; /* of a push to it */
	const char *after;
	const struct label *label;
	const struct account *assignee;
	const struct account *requested_reviewer;
	struct repository repository;
	struct account sender;
};
FERRY_TOPIC_DECLARE(pull_request, struct pull_request);

#endif
