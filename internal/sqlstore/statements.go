package sqlstore

// One text serves both engines. The test of this package prepares every statement on each.

const selectOne = `SELECT 1`

const (
	userColumns = `users.id, users.username, users.email, users.email_verified_at, users.fullname, users.avatar, users.phone_number, users.phone_number_verified_at, users.password_hash,
		users.guest, users.status, users.language, users.created_at`

	selectUserByID = `SELECT ` + userColumns + ` FROM users WHERE users.id = $1 AND users.status <> 2`

	selectUserByUsername = `SELECT ` + userColumns + ` FROM users WHERE users.username = $1 AND users.status <> 2`

	selectUserByEmail = `SELECT ` + userColumns + ` FROM users WHERE users.email_key = $1 AND users.status <> 2`

	selectUserByGeneratedEmail = `SELECT ` + userColumns + ` FROM users
		WHERE users.username = $1 AND users.email IS NULL AND users.status <> 2`

	selectUserByIdentity = `SELECT ` + userColumns + ` FROM identities JOIN users ON users.id = identities.user_id
		WHERE identities.provider = $1 AND identities.app_id = $2 AND identities.subject = $3 AND users.status <> 2`

	userValues = `INSERT INTO users (id, username, email, email_key, fullname, avatar, phone_number, password_hash,
			guest, status, language, created_at, signed_in_at, phone_number_verified_at)
		VALUES ($12, $1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $10, $11)`

	// It returns no row for a name or address that is taken. PostgreSQL would write the refusal of an index into its log,
	// with the name or address that it is about. $12 is NULL where the database makes the id.
	insertUser = userValues + ` ON CONFLICT DO NOTHING RETURNING ` + userColumns

	// A guest's name is made up, and may stand in a log. If it is taken the transaction ends, without anybody looking.
	insertGuest = userValues + ` RETURNING ` + userColumns

	// $5 is the fullname that was given, or NULL: then a fullname that is still the old username follows it.
	updateGuestToUser = `UPDATE users SET
			fullname = COALESCE($5, CASE WHEN fullname = username THEN COALESCE($2, username) ELSE fullname END),
			username = COALESCE($2, username), email = $3, email_key = $4,
			avatar = COALESCE($6, avatar), phone_number = COALESCE($7, phone_number),
			phone_number_verified_at = CASE WHEN CAST($7 AS TEXT) IS NULL THEN phone_number_verified_at ELSE $10 END,
			password_hash = $8, guest = 0, signed_in_at = $9
		WHERE id = $1 AND guest = 1 AND status = 0
		RETURNING ` + userColumns

	// The three that follow lock the user's row: whoever changes the password, upgrades the guest or cleans up at the same
	// time comes before or after.
	updateUserSignedIn = `UPDATE users SET signed_in_at = $2 WHERE id = $1 AND status = 0 RETURNING ` + userColumns

	updateGuestSignedIn = `UPDATE users SET signed_in_at = $2 WHERE id = $1 AND status = 0 AND guest = 1 RETURNING ` + userColumns

	updateUserSignedInWithPassword = `UPDATE users SET signed_in_at = $2, password_hash = COALESCE($4, password_hash)
		WHERE id = $1 AND status = 0 AND password_hash = $3
		RETURNING ` + userColumns

	updateUserPassword = `UPDATE users SET password_hash = $3, signed_in_at = $4
		WHERE id = $1 AND status = 0 AND guest = 0 AND password_hash IS NOT DISTINCT FROM $2
		RETURNING ` + userColumns

	updateUserResetPassword = `UPDATE users SET password_hash = $3, email_verified_at = COALESCE(email_verified_at, $4)
		WHERE id = $1 AND status = 0 AND email_key = $2`

	updateUserEmailVerified = `UPDATE users SET email_verified_at = COALESCE(email_verified_at, $3)
		WHERE id = $1 AND status = 0 AND email_key = $2
		RETURNING ` + userColumns

	// $5 is the key of the address that is to be replaced, NULL for a generated one.
	updateUserEmail = `UPDATE users SET email = $2, email_key = $3, email_verified_at = $4
		WHERE id = $1 AND status = 0 AND email_key IS NOT DISTINCT FROM $5
		RETURNING ` + userColumns

	updateUserEmailBack = `UPDATE users SET email = $2, email_key = $3, email_verified_at = $4 WHERE id = $1 AND status = 0`

	updateUserProfile = `UPDATE users SET
			fullname = COALESCE($2, fullname),
			avatar = CASE WHEN CAST($3 AS BIGINT) = 1 THEN $4 ELSE avatar END,
			phone_number = CASE WHEN CAST($5 AS BIGINT) = 1 THEN $6 ELSE phone_number END,
			phone_number_verified_at = CASE WHEN CAST($5 AS BIGINT) = 1 AND phone_number IS DISTINCT FROM $6
				THEN NULL ELSE phone_number_verified_at END
		WHERE id = $1 AND status = 0
		RETURNING ` + userColumns

	updateUserVerifiedPhone = `UPDATE users SET phone_number = $2, phone_number_verified_at = $3 WHERE id = $1 AND status = 0`

	updateUserStatus = `UPDATE users SET status = $2 WHERE id = $1 AND status <> 2`

	// The three that follow change nothing: they lock the user's row, in a way that both engines understand.
	lockUser = `UPDATE users SET status = status WHERE id = $1 AND status = 0 RETURNING ` + userColumns

	lockGuest = `UPDATE users SET status = status WHERE id = $1 AND status = 0 AND guest = 1 RETURNING ` + userColumns

	lockUserWithPassword = `UPDATE users SET status = status WHERE id = $1 AND status = 0 AND password_hash IS NOT DISTINCT FROM $2
		RETURNING ` + userColumns

	updateUserDeleted = `UPDATE users SET status = 2, deleted_at = $2, email = NULL, email_key = NULL, email_verified_at = NULL,
			fullname = '', avatar = NULL, phone_number = NULL, phone_number_verified_at = NULL, password_hash = NULL, guest = 0, language = ''
		WHERE id = $1`

	// PostgreSQL's own: a node takes ids before the rows are inserted.
	selectNewUserIDsPostgres = `SELECT nextval(pg_get_serial_sequence('users', 'id')) FROM generate_series(1, $1)`

	selectUsernameTaken = `SELECT COUNT(*) FROM users WHERE username = $1 AND id <> $2`

	selectEmailTaken = `SELECT COUNT(*) FROM users WHERE email_key = $1 AND id <> $2`
)

const (
	insertIdentity = `INSERT INTO identities (user_id, provider, app_id, subject, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`

	selectIdentityOwner = `SELECT user_id FROM identities WHERE provider = $1 AND app_id = $2 AND subject = $3`

	selectIdentitiesOfUser = `SELECT id, provider, app_id, created_at FROM identities WHERE user_id = $1 ORDER BY id LIMIT $2`

	deleteIdentity = `DELETE FROM identities WHERE user_id = $1 AND provider = $2 AND app_id = $3`

	updateIdentitiesOwner = `UPDATE identities SET user_id = $2 WHERE user_id = $1`

	deleteIdentitiesOfUser = `DELETE FROM identities WHERE user_id = $1`
)

const (
	// A key that has expired is as good as new. No row is written if it has not.
	upsertGuestKey = `INSERT INTO guest_keys (key_hash, user_id, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (key_hash) DO UPDATE SET user_id = excluded.user_id, expires_at = excluded.expires_at
			WHERE guest_keys.expires_at <= $4`

	selectUserOfGuestKey = `SELECT user_id FROM guest_keys WHERE key_hash = $1 AND expires_at > $2`
)

const (
	sessionColumns = `sessions.id, sessions.user_id, sessions.token_hash, sessions.created_at, sessions.last_used_at, sessions.expires_at, sessions.ip, sessions.user_agent`

	insertSession = `INSERT INTO sessions (id, user_id, token_hash, created_at, last_used_at, expires_at, ip, user_agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

	// The newest $2 of the user's sessions stay.
	deleteOldestSessions = `DELETE FROM sessions WHERE user_id = $1 AND id <=
		(SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`

	selectSession = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = $1`

	selectSessionCount = `SELECT COUNT(*) FROM sessions WHERE id = $1 AND user_id = $2`

	selectSessionsOfUser = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE sessions.user_id = $1 AND sessions.expires_at > $2 ORDER BY sessions.id DESC LIMIT $3`

	selectSessionsFromDevice = `SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND user_agent = $2`

	updateSessionUse = `UPDATE sessions SET last_used_at = $2, expires_at = $3 WHERE id = $1 AND last_used_at < $2`

	deleteSession = `DELETE FROM sessions WHERE id = $1 AND user_id = $2`

	deleteOtherSessions = `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`

	deleteSessionsOfUser = `DELETE FROM sessions WHERE user_id = $1`
)

const (
	insertMessage = `INSERT INTO outbox (kind, user_id, recipient, language, ip, user_agent, queued_at, not_after,
			next_attempt_at, attempts, last_error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, 0, '') RETURNING id`

	// The lease is the next attempt: a worker that dies is followed by another when it is due.
	leaseMessages = `UPDATE outbox SET next_attempt_at = $2, attempts = attempts + 1
		WHERE next_attempt_at <= $1 AND id IN
			(SELECT id FROM outbox WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $3)
		RETURNING id, kind, user_id, recipient, language, ip, user_agent, queued_at, not_after, attempts`

	// PostgreSQL's own: workers of several nodes pass each other instead of waiting in line for the same rows.
	leaseMessagesPostgres = `UPDATE outbox SET next_attempt_at = $2, attempts = attempts + 1
		WHERE next_attempt_at <= $1 AND id IN
			(SELECT id FROM outbox WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING id, kind, user_id, recipient, language, ip, user_agent, queued_at, not_after, attempts`

	selectMessage = `SELECT id FROM outbox WHERE id = $1`

	deleteMessage = `DELETE FROM outbox WHERE id = $1`

	updateMessageRetry = `UPDATE outbox SET next_attempt_at = $2, last_error = $3 WHERE id = $1`

	updateMessageFailed = `UPDATE outbox SET next_attempt_at = NULL, last_error = $2 WHERE id = $1`

	deleteMessagesOfUser = `DELETE FROM outbox WHERE user_id = $1`

	deleteMessagesOfUserAndKind = `DELETE FROM outbox WHERE user_id = $1 AND kind = $2`

	// $2 is the kind of which older messages stay.
	deleteMessagesOfUserSince = `DELETE FROM outbox WHERE user_id = $1 AND (kind <> $2 OR queued_at >= $3)`

	deleteMessagesTo = `DELETE FROM outbox WHERE recipient = $1 AND kind = $2`
)

const (
	oneTimeTokenColumns = `one_time_tokens.id, one_time_tokens.message_id, one_time_tokens.user_id, one_time_tokens.purpose, one_time_tokens.address, one_time_tokens.email_key, one_time_tokens.token_hash, one_time_tokens.code_hash, one_time_tokens.issued_at, one_time_tokens.expires_at`

	upsertOneTimeToken = `INSERT INTO one_time_tokens (message_id, user_id, purpose, address, email_key, token_hash,
			code_hash, code_attempts, issued_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)
		ON CONFLICT (message_id) DO UPDATE SET token_hash = excluded.token_hash, code_hash = excluded.code_hash, code_attempts = 0`

	// An address that its user may still take back is nobody else's.
	selectEmailHeld = `SELECT COUNT(*) FROM one_time_tokens
		WHERE email_key = $1 AND purpose = $2 AND user_id <> $3 AND expires_at > $4`

	// The newest $3 of the user's tokens for the purpose stay.
	deleteOldestOneTimeTokens = `DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2 AND id NOT IN
		(SELECT id FROM one_time_tokens WHERE user_id = $1 AND purpose = $2 ORDER BY issued_at DESC, id DESC LIMIT $3)`

	selectOneTimeToken = `SELECT ` + oneTimeTokenColumns + `, ` + userColumns + `
		FROM one_time_tokens JOIN users ON users.id = one_time_tokens.user_id
		WHERE one_time_tokens.token_hash = $1 AND one_time_tokens.purpose = $2 AND one_time_tokens.expires_at > $3 AND users.status = 0`

	updateOneTimeCodeAttempt = `UPDATE one_time_tokens SET code_attempts = code_attempts + 1
		WHERE user_id = $1 AND purpose IN ($2, $3) AND expires_at > $4 AND code_attempts < $5
		RETURNING ` + oneTimeTokenColumns

	updateOneTimeCodeAttemptBack = `UPDATE one_time_tokens SET code_attempts = code_attempts - 1
		WHERE id = $1 AND token_hash = $2 AND code_attempts > 0`

	deleteOneTimeToken = `DELETE FROM one_time_tokens WHERE id = $1 AND token_hash = $2 AND purpose = $3 AND expires_at > $4`

	deleteOneTimeTokensFor = `DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2`

	// $2 is the purpose of which older tokens stay.
	deleteOneTimeTokensOfUserSince = `DELETE FROM one_time_tokens WHERE user_id = $1 AND (purpose <> $2 OR issued_at >= $3)`

	deleteOneTimeTokensOfUser = `DELETE FROM one_time_tokens WHERE user_id = $1`
)

const (
	signUpColumns = `sign_ups.id, sign_ups.username, sign_ups.email, sign_ups.email_key, sign_ups.password_hash, sign_ups.language, sign_ups.token_hash, sign_ups.code_hash, sign_ups.expires_at`

	insertSignUp = `INSERT INTO sign_ups (message_id, username, email, email_key, password_hash, language, code_attempts, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7)`

	selectSignUp = `SELECT ` + signUpColumns + ` FROM sign_ups WHERE token_hash = $1 AND expires_at > $2 AND link_attempts < $3`

	selectSignUpOfMessage = `SELECT ` + signUpColumns + ` FROM sign_ups WHERE message_id = $1`

	// It changes nothing: it locks everything that is pending for the address.
	lockSignUps = `UPDATE sign_ups SET code_attempts = code_attempts WHERE email_key = $1`

	selectSignUpMails = `SELECT COUNT(*) FROM sign_ups WHERE email_key = $1 AND message_id <> $2 AND mailed_at > $3`

	updateSignUpMailed = `UPDATE sign_ups SET token_hash = $2, code_hash = $3, code_attempts = 0, link_attempts = 0, mailed_at = $4
		WHERE message_id = $1 AND expires_at > $4
		RETURNING ` + signUpColumns

	updateSignUpCodeAttempt = `UPDATE sign_ups SET code_attempts = code_attempts + 1
		WHERE email_key = $1 AND token_hash IS NOT NULL AND expires_at > $2 AND code_attempts < $3
		RETURNING ` + signUpColumns

	updateSignUpCodeAttemptBack = `UPDATE sign_ups SET code_attempts = code_attempts - 1
		WHERE id = $1 AND token_hash = $2 AND code_attempts > 0`

	updateSignUpLinkAttempt = `UPDATE sign_ups SET link_attempts = link_attempts + 1
		WHERE token_hash = $1 AND expires_at > $2 AND link_attempts < $3
		RETURNING ` + signUpColumns

	updateSignUpLinkAttemptBack = `UPDATE sign_ups SET link_attempts = link_attempts - 1
		WHERE id = $1 AND token_hash = $2 AND link_attempts > 0`

	// The row stays: it goes on counting as a mail to the address.
	updateSignUpTaken = `UPDATE sign_ups SET taken_answers = taken_answers + 1,
		token_hash = CASE WHEN taken_answers + 1 >= $3 THEN NULL ELSE token_hash END,
		code_hash = CASE WHEN taken_answers + 1 >= $3 THEN NULL ELSE code_hash END
		WHERE id = $1 AND token_hash = $2`

	deleteSignUp = `DELETE FROM sign_ups WHERE id = $1 AND token_hash = $2 AND expires_at > $3`

	deleteSignUpsTo = `DELETE FROM sign_ups WHERE email_key = $1`
)

// Every change that ends a session or is seen in one leaves a row, for the caches of other nodes.
const (
	insertInvalidation = `INSERT INTO invalidations (user_id, created_at) VALUES ($1, $2)`

	selectInvalidationsSince = `SELECT seq, user_id FROM invalidations WHERE seq > $1 ORDER BY seq LIMIT $2`

	selectLastInvalidation = `SELECT COALESCE(MAX(seq), 0) FROM invalidations`

	// PostgreSQL's own: SQLite has one process that matters, and others are found by looking.
	notifyInvalidationPostgres = `SELECT pg_notify('latchkey_invalidations', '')`
)

const (
	selectFailureWait = `SELECT wait_until FROM guess_failures WHERE lane = $1`

	// While a wait runs nothing is counted, and no row comes back.
	upsertFailure = `INSERT INTO guess_failures (lane, failures, wait_until, updated_at) VALUES ($1, 1, 0, $2)
		ON CONFLICT (lane) DO UPDATE SET failures = guess_failures.failures + 1, updated_at = $2
			WHERE guess_failures.wait_until <= $2
		RETURNING failures`

	updateFailureWait = `UPDATE guess_failures SET wait_until = $2 WHERE lane = $1`

	deleteFailures = `DELETE FROM guess_failures WHERE lane = $1 RETURNING wait_until`

	deleteFailuresOfUser = `DELETE FROM guess_failures WHERE lane IN ($1, $2)`

	// $3 is $4, what one request uses up, after $2, which is now; beyond $5 nothing more fits.
	upsertMailRequest = `INSERT INTO mail_requests (address, full_at) VALUES ($1, $3)
		ON CONFLICT (address) DO UPDATE
			SET full_at = CASE WHEN mail_requests.full_at > $2 THEN mail_requests.full_at + $4 ELSE $3 END
			WHERE mail_requests.full_at <= $5`
)

// What is due is deleted in batches of $2; the condition stands twice because a row may change between the two looks.
const (
	deleteExpiredSessions = `DELETE FROM sessions WHERE expires_at <= $1 AND id IN
		(SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	deleteExpiredOneTimeTokens = `DELETE FROM one_time_tokens WHERE id IN
		(SELECT id FROM one_time_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	deleteExpiredSignUps = `DELETE FROM sign_ups WHERE id IN
		(SELECT id FROM sign_ups WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	deleteExpiredGuestKeys = `DELETE FROM guest_keys WHERE expires_at <= $1 AND id IN
		(SELECT id FROM guest_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	deleteHeldUsernames = `DELETE FROM users WHERE id IN
		(SELECT id FROM users WHERE deleted_at IS NOT NULL AND deleted_at <= $1 ORDER BY deleted_at LIMIT $2)`

	deleteOldMessages = `DELETE FROM outbox WHERE id IN
		(SELECT id FROM outbox WHERE not_after <= $1 ORDER BY not_after LIMIT $2)`
)

const (
	deleteOldFailures = `DELETE FROM guess_failures WHERE updated_at <= $1 AND wait_until IS NOT NULL AND lane IN
		(SELECT lane FROM guess_failures WHERE updated_at <= $1 AND wait_until IS NOT NULL ORDER BY updated_at LIMIT $2)`

	deleteOldMailRequests = `DELETE FROM mail_requests WHERE full_at <= $1 AND address IN
		(SELECT address FROM mail_requests WHERE full_at <= $1 ORDER BY full_at LIMIT $2)`
)

// A guest's signed_in_at is when the guest was last seen, as far as that was noted: at the sign-in, at the end of a session,
// and when the clean-up comes by. So it is exact for guests without a session, and each of the others is looked at once
// in the time that guests may be idle.
const (
	updateGuestSeen = `UPDATE users SET signed_in_at = (SELECT MAX(last_used_at) FROM sessions WHERE user_id = $1)
		WHERE id = $1 AND guest = 1 AND signed_in_at < (SELECT MAX(last_used_at) FROM sessions WHERE user_id = $1)`

	// It goes before deleteExpiredSessions and looks at the same rows.
	updateGuestsOfExpiredSessions = `UPDATE users SET signed_in_at = expired.used_at
		FROM (SELECT user_id, MAX(last_used_at) AS used_at
			FROM (SELECT user_id, last_used_at FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AS due
			GROUP BY user_id) AS expired
		WHERE users.id = expired.user_id AND users.guest = 1 AND users.signed_in_at < expired.used_at`

	// Guests with a session that is live at $3 are not due before it ends. $4 is how long guests may be idle; a session
	// that was made when that was longer still ends when it says.
	updateGuestsInUse = `UPDATE users SET signed_in_at =
			(SELECT MAX(CASE WHEN last_used_at > expires_at - $4 THEN last_used_at ELSE expires_at - $4 END)
				FROM sessions WHERE user_id = users.id)
		WHERE guest = 1 AND signed_in_at <= $1
			AND EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id AND expires_at > $3)
			AND id IN (SELECT id FROM users WHERE guest = 1 AND signed_in_at <= $1 ORDER BY signed_in_at LIMIT $2)`

	// Whoever gives a guest a session, or upgrades one, writes the user's row first: then this waits, and finds another
	// signed_in_at, or no guest.
	deleteUnusedGuests = `DELETE FROM users
		WHERE guest = 1 AND signed_in_at <= $1
			AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id)
			AND id IN (SELECT id FROM users WHERE guest = 1 AND signed_in_at <= $1 ORDER BY signed_in_at LIMIT $2)`

	// A page of guests who were not seen since $1, in the order of the index; $2 and $3 are the last one of the page before.
	// A guest is unused without a session that is live at $4 or was used since.
	// PostgreSQL might read all sessions for EXISTS; it cannot do so to count them.
	selectGuestPage = `SELECT id, signed_in_at,
			(SELECT COUNT(*) FROM sessions WHERE user_id = users.id AND (expires_at > $4 OR last_used_at > $1))
		FROM users
		WHERE guest = 1 AND signed_in_at <= $1 AND signed_in_at >= $2 AND (signed_in_at > $2 OR id > $3)
		ORDER BY signed_in_at, id LIMIT $5`

	// The unused ones of that page; $5 and $6 are its last one.
	deleteGuestPage = `DELETE FROM users
		WHERE guest = 1 AND signed_in_at <= $1 AND signed_in_at >= $2 AND (signed_in_at > $2 OR id > $3)
			AND signed_in_at <= $5 AND (signed_in_at < $5 OR id <= $6)
			AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = users.id AND (expires_at > $4 OR last_used_at > $1))`
)

const (
	auditColumns = `id, at, kind, outcome, reason, user_id, other_id, proof, session_id, token, login, count, ip, user_agent`

	insertAuditEvent = `INSERT INTO audit_events (at, kind, outcome, reason, user_id, other_id, proof, session_id, token, login, count,
			ip, user_agent)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

	// The newest $6 before the event of time $1 and id $2, and not before $3. An empty kind or outcome is any.
	selectAuditEvents = `SELECT ` + auditColumns + ` FROM audit_events
		WHERE (at, id) < ($1, $2) AND at >= $3 AND (CAST($4 AS TEXT) = '' OR kind = $4) AND (CAST($5 AS TEXT) = '' OR outcome = $5)
		ORDER BY at DESC, id DESC LIMIT $6`

	selectAuditEventsOfUser = `SELECT ` + auditColumns + ` FROM audit_events
		WHERE user_id = $7 AND (at, id) < ($1, $2) AND at >= $3 AND (CAST($4 AS TEXT) = '' OR kind = $4) AND (CAST($5 AS TEXT) = '' OR outcome = $5)
		ORDER BY at DESC, id DESC LIMIT $6`

	deleteOldAuditEvents = `DELETE FROM audit_events WHERE id IN
		(SELECT id FROM audit_events WHERE at < $1 ORDER BY at, id LIMIT $2)`
)

const deleteOldInvalidations = `DELETE FROM invalidations WHERE seq IN
		(SELECT seq FROM invalidations WHERE created_at <= $1 ORDER BY created_at LIMIT $2)`

const (
	selectAppToken = `SELECT generation, sealed, expires_at FROM wechat_app_tokens WHERE app_id = $1 AND generation > 0`

	leaseAppToken = `INSERT INTO wechat_app_tokens (app_id, sealed, expires_at, generation, lease_until) VALUES ($1, NULL, 0, 0, $3)
		ON CONFLICT (app_id) DO UPDATE SET lease_until = excluded.lease_until
			WHERE wechat_app_tokens.generation = $2 AND wechat_app_tokens.lease_until <= $4`

	updateAppToken = `UPDATE wechat_app_tokens SET sealed = $4, expires_at = $5, generation = generation + 1, lease_until = 0
		WHERE app_id = $1 AND generation = $2 AND lease_until = $3`

	updateAppTokenReleased = `UPDATE wechat_app_tokens SET lease_until = 0 WHERE app_id = $1 AND generation = $2 AND lease_until = $3`
)

const (
	insertHandover = `INSERT INTO handovers (code_hash, app_id, openid, unionid, code_challenge, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`

	deleteHandover = `DELETE FROM handovers WHERE code_hash = $1 AND expires_at > $2
		RETURNING app_id, openid, unionid, code_challenge, expires_at`

	deleteExpiredHandovers = `DELETE FROM handovers WHERE code_hash IN
		(SELECT code_hash FROM handovers WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`
)
