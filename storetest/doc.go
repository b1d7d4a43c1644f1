// Package storetest checks implementations of [auth.UserStore] and
// [auth.RecordStore]. A store is correct if these tests pass:
//
//	func TestUsers(t *testing.T) {
//		storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*User] {
//			return mystore.New(emptyDatabase(t), clock)
//		})
//	}
//
// The subtests are the contract in detail. Their names are meant to be read (go
// test -v). A failure says what the test did, what it got, what it wanted, and
// how such a store is usually fixed.
//
// Every store has to pass [TestUserStore] or [TestRecordStore]. If several
// processes share its database, it also has to pass [TestUserStoreProcesses] or
// [TestRecordStoreProcesses]. If it talks to a server, it also has to pass
// [TestUserStoreCut] or [TestRecordStoreCut].
//
// # What open must do
//
// [TestUserStore] and [TestRecordStore] call open once for each subtest. It
// returns an empty store and closes it with t.Cleanup. The store must take the
// time only from clock: the suites set that clock instead of waiting. No two
// subtests use the same names, so rows left by an earlier subtest break nothing.
// They slow the suite down, however, and a real store starts empty.
//
// If a user store fails at the basics (it loses a field, or gives two users the
// same name), TestUserStore reports the first fault and runs no other test.
//
// # Tables that applications have
//
// A table may lack columns for fields of [auth.Account]. The store then lists
// those fields as an [auth.FieldOmitter], and the suites do not test them. If
// the IDs of a table have a fixed form, such as UUIDs or integers of 32 bits,
// use [WithIDs]. If a table has columns that cannot be empty, use [WithForm]:
//
//	storetest.TestUserStore(t, open,
//		storetest.WithIDs(uuid.NewString),
//		storetest.WithForm(func() url.Values { return url.Values{"plan": {"gold"}} }))
//
// # What a store must have room for
//
//   - usernames of 64 code points, which may be 256 bytes of UTF-8, in both
//     their forms (as typed and canonical), and addresses of 254 bytes;
//   - hashes of 400 bytes, stamps and roles of 255;
//   - keys of 200 bytes and kinds of 50, of any bytes, including NUL and
//     invalid UTF-8;
//   - 100 000 bytes of Data;
//   - an Expires in the year 2300.
//
// A store keeps longer values whole or refuses them with an error.
//
// The races of the suites have 50 goroutines. Each must get an answer that the
// contract allows. If the database is busy, the store must retry.
//
// # Contexts and clocks
//
// A call whose context has already ended does nothing and returns the context's
// error. If the context ends during the call, the call must have happened
// wholly or not at all. The suites test this with contexts that end when the
// store asks them for the first time, the second time and so on. Only
// DeleteRecords may stop half way, as long as it deletes each record wholly or
// not at all.
//
// If the clock is set back, an expired record may be there again, or may have
// been removed. All verbs must agree on which. Writes are kept, whatever the
// clock shows.
//
// # Several processes
//
// [TestUserStoreProcesses] and [TestRecordStoreProcesses] run the test that
// calls them in four more processes. In each of them 12 goroutines race. They
// show whether a store relies on a lock or a cache of one process, which the
// other processes do not see.
//
//	func TestRecordProcesses(t *testing.T) {
//		storetest.TestRecordStoreProcesses(t,
//			func(t *testing.T) string { return filepath.Join(t.TempDir(), "app.db") },
//			func(t *testing.T, file string, clock func() time.Time) auth.RecordStore {
//				return mystore.Open(t, file, clock)
//			})
//	}
//
// # Lost connections
//
// [TestUserStoreCut] and [TestRecordStoreCut] put a proxy in front of the
// server. For every verb, it cuts the connection before, within and after each
// request and answer. The suites then check, through another connection, what
// has happened.
//
//   - If the call returned no error, it must have happened.
//   - If it returned an error of package auth, that error must be true. For
//     example, ErrRecordExists is false if this call inserted the record
//     itself. So are ErrConflict after the call's own update, ErrRecordNotFound
//     after it took the record, and ErrUsernameTaken for the user it just
//     created. Such errors appear when the store or its driver retries a call
//     that may have happened.
//   - If it returned any other error, it has happened wholly or not at all, and
//     a second call reports which.
//   - The store goes on working, over a new connection.
//
// # Broken stores
//
// The suites are themselves tested, against stores that are broken on purpose.
// The lists below name one subtest that catches each of them; most are caught
// by others as well.
//
// [TestUserStore] fails for a store that
//
//   - lists the first page again and again → ListUsers/finds every user once, as they are saved
//   - lists more users than it was asked for → ListUsers/finds every user once, as they are saved
//   - leaves out the first user of each page → ListUsers/finds every user once, as they are saved
//   - lists users without their roles → ListUsers/finds every user once, as they are saved
//   - skips as many rows as it has listed → ListUsers/goes on while users come and go
//   - finds no page after a user who is gone → ListUsers/goes on while users come and go
//   - fails after an ID that it could not have made → ListUsers/after an ID that no user has is no error
//   - is a map with a lock around each access, and looks names up before it inserts → CreateUser/of 50 racers with one username, one wins
//   - looks the username up, then inserts → CreateUser/of 50 racers with one username, one wins
//   - looks the address up, then inserts → CreateUser/of 50 racers with one address, one wins
//   - leaves the username reserved after it refuses the address → CreateUser/refuses an address that is taken
//   - lower-cases usernames → Names/of one username in other cases, widths and compositions are the same
//   - lower-cases addresses → Names/of one address in other cases and alphabets are the same
//   - has a collation without accents → Names/that only look alike are different
//   - makes keys canonical in FindUser → FindUser/takes canonical keys only
//   - finds users without a name by the empty key → FindUser/of the empty key finds nobody
//   - finds by LIKE → FindUser/of an unknown key
//   - returns nil for an unknown user → LoadUser/of an ID that no store gives out
//   - returns the database's syntax error for a malformed ID → LoadUser/of an ID that no store gives out
//   - ignores trailing spaces of IDs → LoadUser/of an ID that is almost another user's ID
//   - updates without comparing the Version → UpdateAccount/with a stale Version changes nothing
//   - reads and compares the Version, then updates → UpdateAccount/of 50 racers with one Version, one wins
//   - looks the new username up, then updates → UpdateAccount/of 50 racers who want one username, one wins
//   - does not increment the Version → UpdateAccount/replaces every field and counts the Version up
//   - does not increment the Version of an account that stays the same → UpdateAccount/of the same contents counts the Version up
//   - inserts a user that it cannot find → UpdateAccount/of an unknown ID
//   - changes the username, then refuses the address → UpdateAccount/refuses names that are taken and changes nothing
//   - keeps old usernames reserved → UpdateAccount/frees the old names
//   - reports the account's own username as taken → UpdateAccount/can change the letter case of the account's own names
//   - loses Roles → CreateUser/keeps every field and gives an ID
//   - joins Roles with commas → CreateUser/keeps roles of any text, in their order
//   - saves secrets as JSON → CreateUser/keeps the texts of secrets
//   - saves only the canonical username → CreateUser/keeps names as they were typed
//   - has name columns of 255 bytes → CreateUser/keeps the longest names there are
//   - ignores a given ID → CreateUser/keeps a given ID
//   - replaces the user who has the given ID → CreateUser/refuses an ID that is in use
//   - allows one account without an address → CreateUser/accepts any number of accounts without a username or without an address
//   - accepts any text as a username → CreateUser/refuses an invalid username
//   - accepts any text as an address → CreateUser/refuses an invalid address
//   - also finds users by their ID → FindUser/does not look for IDs
//   - passes a nil form to ReadForm → FormReader/gets an empty form for a nil one
//   - ignores the form → FormReader/reads the form of CreateUser
//   - saves the user before it reads the form → FormReader/that refuses the form leaves nothing behind
//   - checks for taken names before it reads the form → FormReader/refuses the form before a taken name is reported
//   - empties the user's other fields in UpdateAccount → FormReader/fields are left alone by UpdateAccount
//   - reuses the IDs of deleted users → DeleteUser/never reuses an ID
//   - keeps the names of deleted users reserved → DeleteUser/deletes the user and frees the names
//   - returns the user it stores, not a copy → Copies/what LoadUser and FindUser returned may be changed
//   - stores the Roles it was given, not a copy → Copies/what CreateUser was given and returned may be changed
//   - creates with a cancelled context → Context/cancelled or expired, CreateUser does nothing
//   - creates the user, then returns the context's error → Context/cancelled or expired, CreateUser does nothing
//   - updates with a cancelled context → Context/cancelled or expired, UpdateAccount does nothing
//   - reports an unknown user if the context is cancelled → Context/cancelled or expired, LoadUser does nothing
//   - looks the new address up, then updates → UpdateAccount/of 50 racers who want one address, one wins
//   - overwrites changes made since the account was read → UpdateAccount/loses no count of 10 racers
//   - guards usernames only in CreateUser → Races/of CreateUser and UpdateAccount for one username, one wins
//   - reserves the username of an account that it refuses → Races/of CreateUser whose usernames and addresses cross, every refusal is true
//   - updates by deleting and creating the user → Races/of UpdateAccount and 49 readers, the user is always there, whole, and never older than before
//   - looks the ID up by name, then loads the user → Races/of FindUser and a name that changes hands, only its owner is found
//   - looks the user up, then deletes → DeleteUser/of 50 racers, one wins
//   - brings back a deleted user → DeleteUser/racing UpdateAccount never brings the user back
//   - lower-cases usernames in UpdateAccount → Names/of one username in other cases, widths and compositions are the same
//   - cuts hashes at 255 bytes → CreateUser/keeps a hash of 400 bytes
//   - cuts stamps at 65 535 bytes → CreateUser/keeps or refuses texts with a NUL, invalid UTF-8 or 1 MB
//   - replaces invalid UTF-8 in stamps → CreateUser/keeps or refuses texts with a NUL, invalid UTF-8 or 1 MB
//   - stops for cancelled contexts, but not for expired ones → Context/cancelled or expired, CreateUser does nothing
//   - returns an error that hides the context's → Context/cancelled or expired, FindUser does nothing
//   - looks the name up after a failure, and finds its own new user → Context/ended during the call, CreateUser has happened or has not
//   - saves the names first, then the rest → Context/ended during the call, UpdateAccount has happened or has not
//   - deletes the user first, then the names → Context/ended during the call, DeleteUser has happened or has not
//
// [TestRecordStore] fails for a store that
//
//   - looks the key up, then inserts → InsertRecord/of 50 racers with one key, one wins
//   - deletes the expired record, then inserts → InsertRecord/of 50 racers over an expired record, one wins
//   - returns an error when the database is busy → InsertRecord/of 50 racers with different keys, all win
//   - replaces an existing record → InsertRecord/of a key that exists changes nothing
//   - starts every record at Version 1 → InsertRecord/keeps the Version
//   - keeps Versions as floats → InsertRecord/keeps the Version
//   - keeps Data as text → InsertRecord/keeps every byte of Data
//   - cuts Data at 65 535 bytes → InsertRecord/keeps 100 000 bytes of Data
//   - keeps Expires in seconds → InsertRecord/keeps Expires to the microsecond, in any time zone
//   - forgets the zone of Expires → InsertRecord/keeps Expires to the microsecond, in any time zone
//   - keeps Expires in nanoseconds → InsertRecord/keeps an Expires that is far off
//   - stores a zero Expires as the Unix epoch → Expires/zero means never, even in the year 9999
//   - stores a zero Expires as a time in 100 years → InsertRecord/keeps a zero Expires
//   - treats the Unix epoch as never → Expires/the Unix epoch is a time like any other
//   - lets records live at the instant of Expires → Expires/at the instant, GetRecord finds nothing
//   - lets records expire a microsecond early → Expires/a microsecond before, the record is there for every verb
//   - uses the machine's clock → Expires/at the instant, TakeRecord finds nothing
//   - lists expired records → Expires/at the instant, ListRecords leaves it out
//   - updates expired records → Expires/at the instant, UpdateRecord finds nothing and revives nothing
//   - refuses to insert over an expired record → Expires/at the instant, InsertRecord takes its place
//   - keeps the old Expires → Expires/UpdateRecord brings it forward
//   - never brings Expires forward → Expires/UpdateRecord brings it forward
//   - returns the database's error for an unknown key → GetRecord/of an unknown key
//   - updates without comparing the Version → UpdateRecord/with a stale Version changes nothing
//   - reads and compares the Version, then updates → UpdateRecord/of 50 racers with one Version, one wins
//   - does not increment the Version → UpdateRecord/replaces Data and Expires and counts the Version up
//   - does not update a record that stays the same → UpdateRecord/of the same contents counts the Version up
//   - inserts a record that it cannot find → UpdateRecord/of a record that is gone creates nothing
//   - brings back a taken record → UpdateRecord/racing TakeRecord never brings the record back
//   - brings back a deleted record → UpdateRecord/racing DeleteRecords never brings the record back
//   - changes the UserID → UpdateRecord/never changes the UserID
//   - gets the record, then deletes it → TakeRecord/of 50 racers, one wins
//   - returns a taken record without its Data → TakeRecord/returns the record and deletes it
//   - returns an empty list for the empty user → ListRecords/of an empty user is an error
//   - lists everybody's records for the empty user → ListRecords/of an empty user is an error
//   - lists keys without Data → ListRecords/returns the user's records of the kind, whole
//   - lists only the first 100 records → ListRecords/returns all of 150 records
//   - returns an error for an unknown user → ListRecords/of an unknown user is empty
//   - ignores keep → DeleteRecords/leaves the keys to keep
//   - leaves only one of the keys to keep → DeleteRecords/leaves the keys to keep
//   - deletes everybody's records for the empty user → DeleteRecords/of an empty user is an error and deletes nothing
//   - deletes the user's records of every kind → DeleteRecords/deletes the user's records of the kind
//   - folds the case of keys → Keys/tell apart letter case
//   - trims keys → Keys/tell apart spaces
//   - ends keys at a NUL → Keys/tell apart NUL bytes
//   - replaces invalid UTF-8 in keys → Keys/tell apart invalid UTF-8
//   - ignores accents in keys → Keys/tell apart accents
//   - cuts keys at 191 bytes → Keys/tell apart 200 bytes
//   - folds the case of kinds → Kinds/tell apart letter case
//   - joins kind and key to one name → Kinds/are kept apart from keys
//   - folds the case of user IDs → UserIDs/tell apart letter case
//   - does not check the kind in GetRecord → Invalid/GetRecord with an empty argument
//   - inserts records without a key → Invalid/InsertRecord with an empty argument
//   - writes to the Data that it has returned → Copies/what GetRecord and ListRecords returned stays as it is
//   - inserts with a cancelled context → Context/cancelled or expired, InsertRecord of a new key does nothing
//   - takes the record, then returns the context's error → Context/cancelled or expired, TakeRecord does nothing
//   - deletes with a cancelled context → Context/cancelled or expired, DeleteRecords does nothing
//   - reports an unknown key if the context is cancelled → Context/cancelled or expired, GetRecord of an unknown key does nothing
//   - reads one record, then takes whatever is there → Races/of InsertRecord, GetRecord, UpdateRecord, TakeRecord and ListRecords on one key, no record ends twice
//   - deletes the list of a user after the records → Races/of InsertRecord and DeleteRecords, GetRecord and ListRecords agree
//   - returns an error from DeleteRecords when the database is busy → Races/of 50 DeleteRecords, all succeed
//   - updates by deleting and inserting the record → Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before
//   - reads every second time from a replica that lags behind → Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before
//   - compares times as texts → Expires/at a whole second, and at one with a fraction, is exact to the microsecond
//   - compares local times without their zone → Expires/in any time zone, of the record or of the clock, is the same instant
//   - also asks the machine's clock → Clock/far behind the machine's clock, records expire by the given clock
//   - asks the clock only once → Clock/set forward by a century, every record that can expire is gone
//   - hides a record that GetRecord found expired, but only in GetRecord → Clock/set back, an expired record is there for every verb or for none
//   - keeps the expired record beneath the new one → Clock/set back, the record that replaced an expired one stays
//   - ignores a write whose clock is earlier → Clock/set back, earlier and later writes both stay
//   - treats a blank kind as empty → Kinds/may be one blank, or one NUL
//   - cuts keys at 65 535 bytes → Huge/keys of 1 MB are kept whole or refused
//   - cuts kinds at 65 535 bytes → Huge/kinds of 1 MB are kept whole or refused
//   - cuts user IDs at 65 535 bytes → Huge/user IDs of 1 MB are kept whole or refused
//   - refuses long keys, but finds the record whose key they begin with → Huge/keys of 1 MB are kept whole or refused
//   - stops for cancelled contexts, but not for expired ones → Context/cancelled or expired, UpdateRecord does nothing
//   - returns an error that hides the context's → Context/cancelled or expired, ListRecords does nothing
//   - retries after the context has ended → Context/ended during the call, InsertRecord of a new key has happened or has not
//   - lists a record before it is inserted → Context/ended during the call, InsertRecord of a new key has happened or has not
//   - saves Data first, then Expires → Context/ended during the call, UpdateRecord has happened or has not
//   - returns no error when the context has ended → Context/ended during the call, TakeRecord has happened or has not
//   - deletes records first, then the list of them → Context/ended during the call, DeleteRecords has happened or has not
//
// [TestUserStoreProcesses] fails for a store that
//
//   - guards usernames with a lock of one process → of 48 racers with one username, one wins
//   - guards addresses with a lock of one process → of 48 racers with one address, one wins
//   - guards usernames in UpdateAccount with a lock of one process → of 48 racers who want one username, one wins
//   - compares Versions under a lock of one process → of 48 racers with one Version, one wins
//   - reads and updates under a lock of one process → lose no count of 48 racers
//   - counts IDs up in memory → give every account a different ID
//   - caches the users it has loaded → see at once what another process has written
//
// [TestRecordStoreProcesses] fails for a store that
//
//   - looks the key up, then inserts, under a lock of one process → of 48 racers with one key, one wins
//   - looks the expired record up, then replaces it, under a lock of one process → of 48 racers over an expired record, one wins
//   - gets the record, then deletes it, under a lock of one process → of 48 racers who take a record, one wins
//   - reads one record, then takes whatever is there, under a lock of one process → of 24 racers who insert and 24 who take, no record is lost or taken twice
//   - compares Versions under a lock of one process → of 48 racers with one Version, one wins
//   - reads and updates under a lock of one process → lose no count of 48 racers
//   - caches the records it has read → see at once what another process has written
//   - caches which records it has not found → see at once what another process has written
//
// [TestUserStoreCut] fails for a store that
//
//   - creates the user again if the connection is lost → CreateUser
//   - looks the name up after a failure, and finds its own new user → CreateUser
//   - creates the account first, then adds the address → CreateUser
//   - updates again if the connection is lost → UpdateAccount
//   - saves the names first, then the rest → UpdateAccount
//   - deletes again if the connection is lost → DeleteUser
//   - reports an unknown user if the connection is lost → LoadUser
//   - returns an empty user if the connection is lost → FindUser of an unknown key
//   - reports a successful update if the connection is lost → UpdateAccount with a stale Version
//   - reports a successful CreateUser if the connection is lost → CreateUser of a username that is taken
//   - never opens a second connection → FindUser
//
// [TestRecordStoreCut] fails for a store that
//
//   - inserts again if the connection is lost → InsertRecord of a new key
//   - inserts over an expired record again if the connection is lost → InsertRecord over an expired record
//   - updates again if the connection is lost → UpdateRecord
//   - takes again if the connection is lost → TakeRecord
//   - reports a successful insert if the connection is lost → InsertRecord of a key that exists
//   - reports an unknown key if the connection is lost → GetRecord
//   - returns an empty record if the connection is lost → GetRecord of an unknown key
//   - reports a successful update if the connection is lost → UpdateRecord with a stale Version
//   - reports a conflict if the connection is lost → UpdateRecord
//   - returns an incomplete list if the connection is lost → ListRecords
//   - saves Data first, then Expires → UpdateRecord
//   - inserts the key first, then Data → InsertRecord of a new key
//   - deletes the records to keep, then inserts them again → DeleteRecords
//   - never opens a second connection → GetRecord
package storetest
