// Package storetest checks implementations of [auth.UserStore] and
// [auth.RecordStore]. A store is right if these tests pass:
//
//	func TestUsers(t *testing.T) {
//		storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*User] {
//			return mystore.New(emptyDatabase(t), clock)
//		})
//	}
//
// The subtests are the contract in detail, and their names are meant to be read
// (go test -v). A failure says what was done, what came of it, what was due, and
// how such a store is usually mended.
//
// [TestUserStore] and [TestRecordStore] are for every store. One whose database
// is shared by several processes is right if [TestUserStoreProcesses] and
// [TestRecordStoreProcesses] pass as well, and one with a server if
// [TestUserStoreCut] and [TestRecordStoreCut] do.
//
// # What open must do
//
// [TestUserStore] and [TestRecordStore] call open once for each subtest. It
// returns a store that is empty, and closes it with t.Cleanup. The store must take
// the time from clock, and from nowhere else: the suites set the clock and wait for
// nothing. (No two subtests use the same names, so a database that keeps the rows
// of an earlier one spoils nothing; but it slows the suite down, and real stores
// start empty.)
//
// A store of users that fails at the basics (a field that is lost, a name that two
// users may have) is told the first thing that is wrong, and no other test runs.
//
// # Tables that applications have
//
// A table may lack columns for fields of [auth.Account]: the store says so as an
// [auth.FieldOmitter], and the suites do not ask for them. For a table whose IDs
// have a form of their own, such as UUIDs or integers of 32 bits, there is
// [WithIDs], and for one with columns that cannot be empty [WithForm]:
//
//	storetest.TestUserStore(t, open,
//		storetest.WithIDs(uuid.NewString),
//		storetest.WithForm(func() url.Values { return url.Values{"plan": {"gold"}} }))
//
// # What a store must have room for
//
//   - usernames of 64 code points, which may be 256 bytes of UTF-8, in both their
//     forms, and addresses of 254 bytes;
//   - hashes of 400 bytes, stamps and roles of 255;
//   - keys of 200 bytes and kinds of 50, of any bytes, NUL and invalid UTF-8
//     among them;
//   - 100 000 bytes of Data;
//   - an Expires in the year 2300.
//
// What is longer it keeps whole or refuses with an error.
//
// The races of the suites have 50 goroutines. Each must get an answer of the
// contract: a store that lets one fail because the database was busy must retry.
//
// # Contexts and clocks
//
// A call whose context is done does nothing, and its error is the context's. One
// whose context ends meanwhile has happened wholly or not at all: the suites let
// it end when the store asks for it the first time, the second time and so on.
// DeleteRecords alone may stop half way, if each record is wholly there or gone.
//
// When the clock is set back, a record that had expired may be there again, or
// may have been removed; all verbs are of one mind. Whatever is written is
// written, whatever the clock said before.
//
// # Several processes
//
// [TestUserStoreProcesses] and [TestRecordStoreProcesses] run the test that calls
// them in four processes more, in each of which 12 goroutines race. A lock or a
// cache of one process means nothing to the others.
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
// [TestUserStoreCut] and [TestRecordStoreCut] put a proxy before the server, and
// cut the connection before, within and after each request and answer of every
// verb. Then they look, through another connection, at what has happened.
//
//   - If the call returned no error, it must have happened.
//   - If it returned an error of package auth, that must be true. ErrRecordExists
//     for a record that this call has inserted itself is a lie, and so is
//     ErrConflict after one's own update, ErrRecordNotFound after taking the
//     record, or ErrUsernameTaken for the name of the user just created. They come
//     of trying again what may have happened, in the store or in a driver.
//   - With any other error it has happened wholly or not at all, and who does it
//     again is told which.
//   - The store goes on working, over a new connection.
//
// # Broken stores
//
// The suites are tested themselves, against stores that are wrong on purpose. Each
// is caught by the subtest that is named here, and mostly by others as well.
//
// [TestUserStore] fails for a store that
//
//   - is a map with a lock around each use, where names are looked for first and inserted then → CreateUser/of 50 racers with one username, one wins
//   - looks for the username and inserts then → CreateUser/of 50 racers with one username, one wins
//   - looks for the address and inserts then → CreateUser/of 50 racers with one address, one wins
//   - reserves the username before the address is refused → CreateUser/refuses an address that is taken
//   - lower-cases usernames → Names/of one username in other cases, widths and compositions are the same
//   - lower-cases addresses → Names/of one address in other cases and alphabets are the same
//   - has a collation without accents → Names/that only look alike are different
//   - makes keys canonical itself → FindUser/takes canonical keys only
//   - finds those without a name by the empty key → FindUser/of the empty key finds nobody
//   - finds by LIKE → FindUser/of an unknown key
//   - returns nil for an unknown user → LoadUser/of an ID that no store gives out
//   - fails for an ID that is no number → LoadUser/of an ID that no store gives out
//   - compares IDs without their trailing spaces → LoadUser/of an ID that is nearly another's
//   - updates whatever the Version → UpdateAccount/with a stale Version changes nothing
//   - reads, compares and updates → UpdateAccount/of 50 racers with one Version, one wins
//   - looks for the new username and updates then → UpdateAccount/of 50 racers who want one username, one wins
//   - does not count the Version → UpdateAccount/replaces every field and counts the Version up
//   - does not count the Version of an account that stays the same → UpdateAccount/of the same contents counts the Version up
//   - inserts what it cannot update → UpdateAccount/of an unknown ID
//   - renames before the address is refused → UpdateAccount/refuses names that are taken and changes nothing
//   - keeps old usernames reserved → UpdateAccount/frees the old names
//   - finds one's own username taken → UpdateAccount/can change the case of one's own name
//   - loses Roles → CreateUser/keeps every field and gives an ID
//   - joins Roles by commas → CreateUser/keeps roles of any text, in their order
//   - saves secrets as JSON → CreateUser/keeps the texts of secrets
//   - saves the canonical username alone → CreateUser/keeps names as they were typed
//   - has columns of 255 bytes → CreateUser/keeps the longest names there are
//   - gives everybody an ID of its own making → CreateUser/keeps an ID that is given
//   - replaces the user whose ID is given → CreateUser/refuses an ID that is in use
//   - takes no address for an address → CreateUser/takes any number of accounts without a username, or an address
//   - takes any text for a username → CreateUser/refuses what is no username
//   - takes any text for an address → CreateUser/refuses what is no address
//   - finds users by their ID as well → FindUser/does not look for IDs
//   - hands a nil form on → FormReader/gets an empty form for a nil one
//   - drops the form → FormReader/reads the form of CreateUser
//   - saves before it reads the form → FormReader/that refuses leaves nothing behind
//   - looks for taken names before it reads the form → FormReader/refuses before a taken name does
//   - empties the other fields in UpdateAccount → FormReader/fields are left alone by UpdateAccount
//   - gives the IDs of deleted users out again → DeleteUser/never gives an ID out again
//   - keeps the names of deleted users → DeleteUser/deletes the user and frees the names
//   - returns the user that it keeps → Copies/what LoadUser and FindUser returned may be changed
//   - keeps the Roles that it was given → Copies/what CreateUser was given and returned may be changed
//   - creates with a cancelled context → Context/cancelled or expired, CreateUser does nothing
//   - creates, and then sees that the context is cancelled → Context/cancelled or expired, CreateUser does nothing
//   - updates with a cancelled context → Context/cancelled or expired, UpdateAccount does nothing
//   - takes a cancelled context for an unknown user → Context/cancelled or expired, LoadUser does nothing
//   - looks for the new address and updates then → UpdateAccount/of 50 racers who want one address, one wins
//   - overwrites what came in between → UpdateAccount/loses nothing that racers count
//   - guards usernames in CreateUser alone → Races/of CreateUser and UpdateAccount for one username, one wins
//   - takes a username for an account that it refuses → Races/of CreateUser whose usernames and addresses cross, every refusal is true
//   - updates by deleting and creating → Races/of UpdateAccount and 49 readers, the user is always there, whole, and never older than before
//   - looks up the ID and loads the user then → Races/of FindUser and a name that changes hands, nobody else is found
//   - looks for the user and deletes then → DeleteUser/of 50 racers, one wins
//   - puts back what was deleted → DeleteUser/racing UpdateAccount never brings the user back
//   - lower-cases usernames in UpdateAccount → Names/of one username in other cases, widths and compositions are the same
//   - cuts hashes at 255 bytes → CreateUser/keeps a hash of 400 bytes
//   - cuts stamps at 65 535 bytes → CreateUser/keeps or refuses what is no text, or too long
//   - makes valid texts of stamps → CreateUser/keeps or refuses what is no text, or too long
//   - minds contexts that are cancelled and no others → Context/cancelled or expired, CreateUser does nothing
//   - hides the error of the context → Context/cancelled or expired, FindUser does nothing
//   - asks who has the name, and finds the new user → Context/broken off, CreateUser has happened or has not
//   - renames first and saves the rest then → Context/broken off, UpdateAccount has happened or has not
//   - deletes the user first and the names then → Context/broken off, DeleteUser has happened or has not
//
// [TestRecordStore] fails for a store that
//
//   - looks for the key and inserts then → InsertRecord/of 50 racers with one key, one wins
//   - deletes what has expired and inserts then → InsertRecord/of 50 racers over an expired record, one wins
//   - fails when it is busy → InsertRecord/of 50 racers with keys of their own, all win
//   - replaces what is there → InsertRecord/of a key that exists changes nothing
//   - starts every record at Version 1 → InsertRecord/keeps the Version
//   - keeps Versions as floats → InsertRecord/keeps the Version
//   - keeps Data as text → InsertRecord/keeps every byte of Data
//   - cuts Data at 65 535 bytes → InsertRecord/keeps 100 000 bytes of Data
//   - keeps Expires in seconds → InsertRecord/keeps Expires to the microsecond, in any time zone
//   - forgets the zone of Expires → InsertRecord/keeps Expires to the microsecond, in any time zone
//   - keeps Expires in nanoseconds → InsertRecord/keeps an Expires that is far off
//   - keeps a zero Expires as the epoch → Expires/zero is never, even in the year 9999
//   - keeps a zero Expires as a century hence → InsertRecord/keeps a zero Expires
//   - takes the epoch for never → Expires/the Unix epoch is a time like any other
//   - lets records live until their Expires has passed → Expires/at the instant, GetRecord finds nothing
//   - lets records expire a microsecond early → Expires/a microsecond before, the record is there for every verb
//   - goes by the machine's clock → Expires/at the instant, TakeRecord finds nothing
//   - lists what has expired → Expires/at the instant, ListRecords leaves it out
//   - revives what has expired → Expires/at the instant, UpdateRecord finds nothing and revives nothing
//   - finds what has expired in its way → Expires/at the instant, InsertRecord takes its place
//   - keeps the old Expires → Expires/UpdateRecord brings it forward
//   - never brings Expires forward → Expires/UpdateRecord brings it forward
//   - fails for an unknown key → GetRecord/of an unknown key
//   - updates whatever the Version → UpdateRecord/with a stale Version changes nothing
//   - reads, compares and updates → UpdateRecord/of 50 racers with one Version, one wins
//   - does not count the Version → UpdateRecord/replaces Data and Expires and counts the Version up
//   - does not update what stays the same → UpdateRecord/of the same contents counts the Version up
//   - inserts what it cannot update → UpdateRecord/of a record that is gone creates nothing
//   - puts back what was taken → UpdateRecord/racing TakeRecord never brings the record back
//   - puts back what was deleted → UpdateRecord/racing DeleteRecords never brings the record back
//   - changes the UserID → UpdateRecord/never changes the UserID
//   - gets and deletes then → TakeRecord/of 50 racers, one wins
//   - returns a taken record without its Data → TakeRecord/returns the record and deletes it
//   - lists nobody's for the empty user → ListRecords/of an empty user is an error
//   - lists everybody's for the empty user → ListRecords/of an empty user is an error
//   - lists keys without Data → ListRecords/returns the user's records of the kind, whole
//   - lists a page of 100 → ListRecords/has them all when they are many
//   - finds an unknown user an error → ListRecords/of an unknown user is empty
//   - ignores keep → DeleteRecords/spares the keys to keep
//   - keeps one key of many → DeleteRecords/spares the keys to keep
//   - deletes everybody's for the empty user → DeleteRecords/of an empty user is an error and deletes nothing
//   - deletes the user's records of every kind → DeleteRecords/deletes the user's records of the kind
//   - folds the case of keys → Keys/tell apart letter case
//   - trims keys → Keys/tell apart spaces
//   - ends keys at a NUL → Keys/tell apart NUL bytes
//   - keeps keys as valid text → Keys/tell apart invalid UTF-8
//   - compares keys without accents → Keys/tell apart accents
//   - cuts keys at 191 bytes → Keys/tell apart 200 bytes
//   - folds the case of kinds → Kinds/tell apart letter case
//   - glues kind and key → Kinds/are not glued to keys
//   - folds the case of user IDs → UserIDs/tell apart letter case
//   - does not ask GetRecord for a kind → Invalid/GetRecord without a kind or a name
//   - inserts records without a key → Invalid/InsertRecord without a kind or a name
//   - keeps the Data that it was given → Copies/what InsertRecord was given may be changed
//   - returns the Data that it keeps → Copies/what GetRecord returned may be changed
//   - inserts with a cancelled context → Context/cancelled or expired, InsertRecord of a new key does nothing
//   - takes, and then sees that the context is cancelled → Context/cancelled or expired, TakeRecord does nothing
//   - deletes with a cancelled context → Context/cancelled or expired, DeleteRecords does nothing
//   - takes a cancelled context for an unknown key → Context/cancelled or expired, GetRecord of an unknown key does nothing
//   - takes whatever is there by then → Races/of InsertRecord, GetRecord, UpdateRecord, TakeRecord and ListRecords on one key, no record ends twice
//   - deletes the list of a user after the records → Races/of InsertRecord and DeleteRecords, GetRecord and ListRecords agree
//   - fails to delete when it is busy → Races/of 50 DeleteRecords, all succeed
//   - updates by deleting and inserting → Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before
//   - reads every other time from a replica that is late → Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before
//   - compares times as texts → Expires/at a whole second, and at one with a fraction, is exact to the microsecond
//   - compares the faces of clocks → Expires/in any time zone, of the record or of the clock, is the same instant
//   - asks the machine's clock as well → Clock/far behind the machine's, records expire by it nevertheless
//   - asks the clock once → Clock/set forward by a century, nothing is there that expires
//   - buries what GetRecord has found expired → Clock/set back, what had expired is there for every verb or for none
//   - keeps the expired record beneath the new one → Clock/set back, what came in an expired record's place stays
//   - lets the later clock win → Clock/set back, what is written then is written, and what was written stays
//   - takes a blank kind for none → Kinds/may be one blank, or one NUL
//   - cuts keys at 65 535 bytes → Huge/keys of 1 MB are kept whole or refused
//   - cuts kinds at 65 535 bytes → Huge/kinds of 1 MB are kept whole or refused
//   - cuts user IDs at 65 535 bytes → Huge/user IDs of 1 MB are kept whole or refused
//   - refuses long keys and finds what begins like them → Huge/keys of 1 MB are kept whole or refused
//   - minds contexts that are cancelled and no others → Context/cancelled or expired, UpdateRecord does nothing
//   - hides the error of the context → Context/cancelled or expired, ListRecords does nothing
//   - tries again when the context has ended → Context/broken off, InsertRecord of a new key has happened or has not
//   - lists what it has not inserted yet → Context/broken off, InsertRecord of a new key has happened or has not
//   - saves Data first and Expires then → Context/broken off, UpdateRecord has happened or has not
//   - returns no error when the context has ended → Context/broken off, TakeRecord has happened or has not
//   - deletes records first and the list of them then → Context/broken off, DeleteRecords has happened or has not
//
// [TestUserStoreProcesses] fails for a store that
//
//   - guards usernames by a lock of its own → of 48 racers with one username, one wins
//   - guards addresses by a lock of its own → of 48 racers with one address, one wins
//   - guards usernames in UpdateAccount by a lock of its own → of 48 racers who want one username, one wins
//   - compares Versions under a lock of its own → of 48 racers with one Version, one wins
//   - updates what it has read under a lock of its own → that count lose nothing
//   - counts IDs in memory → give every account an ID of its own
//   - keeps in memory what it has loaded → see at once what another has written
//
// [TestRecordStoreProcesses] fails for a store that
//
//   - looks for the key and inserts then, under a lock of its own → of 48 racers with one key, one wins
//   - looks for what has expired and replaces it then, under a lock of its own → of 48 racers over an expired record, one wins
//   - gets and deletes then, under a lock of its own → of 48 racers who take a record, one wins
//   - takes whatever is there by then, under a lock of its own → of 24 racers who insert and 24 who take, no record is lost or taken twice
//   - compares Versions under a lock of its own → of 48 racers with one Version, one wins
//   - updates what it has read under a lock of its own → that count lose nothing
//   - keeps in memory what it has read → see at once what another has written
//   - keeps in memory what it has not found → see at once what another has written
//
// [TestUserStoreCut] fails for a store that
//
//   - creates again when no answer comes → CreateUser
//   - asks who has the name, and finds the new user → CreateUser
//   - creates the account first and adds the address then → CreateUser
//   - updates again when no answer comes → UpdateAccount
//   - renames first and saves the rest then → UpdateAccount
//   - deletes again when no answer comes → DeleteUser
//   - takes no answer for a user who is not there → LoadUser
//   - returns an empty user when no answer comes → FindUser of an unknown key
//   - takes no answer for an update → UpdateAccount with a stale Version
//   - takes no answer for a name that is free → CreateUser of a username that is taken
//   - dials once → FindUser
//
// [TestRecordStoreCut] fails for a store that
//
//   - inserts again when no answer comes → InsertRecord of a new key
//   - inserts over an expired record again when no answer comes → InsertRecord over an expired record
//   - updates again when no answer comes → UpdateRecord
//   - takes again when no answer comes → TakeRecord
//   - takes no answer for a good one → InsertRecord of a key that exists
//   - takes no answer for a record that is not there → GetRecord
//   - returns an empty record when no answer comes → GetRecord of an unknown key
//   - takes no answer for an update → UpdateRecord with a stale Version
//   - takes no answer for a conflict → UpdateRecord
//   - returns the part of a list that has come → ListRecords
//   - saves Data first and Expires then → UpdateRecord
//   - inserts the key first and Data then → InsertRecord of a new key
//   - deletes what it is to keep, and inserts it again → DeleteRecords
//   - dials once → GetRecord
package storetest
