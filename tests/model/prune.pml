/*
 * prune.pml: docs/prune-protocol.md as a model for spin. check.py runs it; the tables there say
 * which processes take part in which run, and which rules are broken on purpose.
 *
 * Every request to the store is one step; between any two steps any other process may go on. A
 * process that crashes or sleeps is one that is not scheduled any more: all that can go wrong in
 * such a run has gone wrong in a prefix of it, and spin looks at all prefixes. What a crash or a
 * sleep *causes* is modelled by Clock (a lease runs out) and Killer (a process is known to be dead).
 *
 * Time. `overdue` has the bit of a lease once its own time to live has passed since its last
 * renewal. The holder's check reads it; others give up on a lease only while it is set. This is the
 * one assumption on clocks: the holder counts from before a renewal, observers from after they saw
 * it, and both count while a machine sleeps, so that the holder's check fails before anybody gives
 * up. A bit once set stays: a lease that was lost stays lost.
 *
 * Sets of things are bit masks.
 *   chunks    1 and 2, called a and b
 *   packs     1 X and 2 Y, there from the beginning; 4, 8 of the writers; 16, 32, 64 rewritten by
 *             the prunes
 *   segments  1 names X and Y, 2 only X, 4 only Y; 8, 16, 32, 64, 128: each names one later pack. A
 *             segment's name is its content, so that two prunes may well put the same one
 *   sets      1 there from the beginning; 2, 4 of the writers. Parts: the same
 *   leases    1, 2 of the writers; 4 of the reader; 8, 16, 32 of the prunes
 *   marks     1, 2, 4 of the prunes
 *
 * A listing is one step, but where `slow` is set, and for marks, which are read one after the other:
 * what is there all the time while a listing goes on is in it.
 *
 * Variables that are not needed any more are set to 0, so that equal situations are equal states.
 */

/* The rules that can be broken. check.py reads these lines. */
#define NO_SECOND_LOOK 1       /* step 8 pardons nothing */
#define INDEX_BEFORE_MARKS 2   /* a writer lists segments and packs, then reads the marks */
#define NO_LAPSED 3            /* giving up on a lease only removes it */
#define NO_LAST_CHECK 4        /* a writer does not check its lease after the manifest */
#define LEASES_BEFORE_MARK 5   /* a prune lists the leases, then puts its mark */
#define MARK_REMOVED_FIRST 6   /* a prune removes its mark before the packs */
#define ACK_NOT_OBEYED 7       /* a writer acknowledges marks, and uses the packs nevertheless */
#define ACK_UNREAD 8           /* a writer acknowledges what it has not read */
#define NO_WAITING 9           /* no step 7 */
#define MARK_ONLY_NEW 10       /* a prune's mark leaves out what others' marks name */
#define FOREIGN_MARK_GOES 11   /* others' marks are removed, though packs of theirs stay */
#define PARDON_ONE 12          /* of several copies in condemned packs, step 8 pardons one */
#define WAIT_WITH_LEASE 13     /* a prune holds a lease while it waits in step 1 */
#define NO_CHECK_AT_9 14       /* no step 9 */
#define SEGMENT_GAP 15         /* step 10 removes the old segment, then puts the new one */
#define NO_YIELD 16            /* two prunes wait for each other in step 7 */
#define KEPT_EMPTY 17          /* giving up keeps no sets */
#define KEPT_TOO_OLD 18        /* giving up uses a listing of sets from before the lease ran out */
#define READER_NO_LEASE 19     /* a reader has no lease */
#define READER_INDEX_FIRST 20  /* a reader lists segments, then reads the marks, and never again */
#define READER_NO_REFRESH 21   /* a reader does not list the segments again */
#define LAPSED_FIRST 22        /* a prune reads lapsed/, then lists sets/ */
#define TRUST_SEGMENTS 23      /* a writer does not list packs/ */
#define OLD_INDEX_AT_8 24      /* step 8 uses the index of step 2 */
#define RETAIN_ANY 25          /* retention counts sets whose lease still stands */
#define SEGMENT_FIRST 26       /* a writer puts the segment before the pack */
#define NO_SEGMENT 27          /* a writer puts the manifest before the segment */
#define NAME_REUSED 28         /* manifests are called by the second, and by nothing else */
#define PARTS_TAKEN 29         /* a writer takes over a condemned part */
#define NO_MOVE 30             /* what lies in condemned packs only is not copied */
#define INDEX_BEFORE_SETS 31   /* a prune lists segments, then the sets */
#define NO_CHECKS 32           /* a writer never checks its lease */
#define ORPHANS_UNMARKED 33    /* packs that no segment names are deleted without a mark */
#define BOTH_YIELD 34          /* of two prunes, both give way to the other */
#define WITHDRAW_KEPT 35       /* a writer removes its manifest, though others kept it */
#define PRUNE_NO_REFRESH 36    /* a prune does not list the segments again */
#define OLDER_NOT_ASKED 37     /* what an older mark names goes, whoever is at work */

/* Constant after init. */
byte mutant;
byte need0;    /* chunks of the set that is there from the beginning */
byte want[2];  /* of the writers' sets; 0: no such writer */
byte runs;     /* prunes that take part, as marks */
bool retain;   /* prunes keep only the newest set */
bool patient;  /* prunes wait for others however long it takes */
bool repack;   /* prunes may rewrite packs that are in use */
bool takeover; /* the second writer's set takes over the first writer's part */
bool samename; /* both writers' clocks show the same second */
bool restart;  /* a prune that yields begins again */
bool slow;     /* listing the segments takes time */

/* The store. */
byte has[2]; /* packs that hold chunk a, b: their content, whether they are there or not */
byte packs, segs, parts, sets;
byte lease, lapsed, kept; /* lapsed/LEASE is there; its `kept` has that lease's one set */
byte ack[2];              /* marks that a writer's lease acknowledges */
byte mark, mpacks[3], mparts[3];

/* The world. */
byte overdue, dead;
bool taken;     /* the second writer's set names part 2 */
bool clash[2];  /* the writer's set is under the name that both would use */
byte running;

/* What was promised. */
byte reported, deleted;
bool trimmed; /* retention has removed set 1 */

#define BAD(rule) (mutant == rule)
#define LOW(mask) ((mask) & ~((mask) - 1))
#define NAMES(s) ((((s) & 1) -> 3 : 0) | (((s) >> 1) & 3) | (((s) & 248) >> 1))
#define VALID(s) ((s) & (1 | (((~lapsed | kept) & 3) << 1)))
#define NEEDS(v) ((((v) & 1) -> need0 : 0) | (((v) & 2) -> want[0] : 0) | (((v) & 4) -> want[1] : 0))
#define PARTS(v) ((v) | ((((v) & 4) && taken) -> 2 : 0))
#define WRITERS 3
#define READER 4
#define PRUNES 56
#define ME (8 << r) /* the lease of prune r */

/* Holds after every step that removes something, or that makes a set count or not. */
inline promise()
{
    assert((NEEDS(VALID(sets)) & 1) == 0 || (packs & NAMES(segs) & has[0]) != 0);
    assert((NEEDS(VALID(sets)) & 2) == 0 || (packs & NAMES(segs) & has[1]) != 0);
    assert((PARTS(VALID(sets)) & ~parts) == 0);
    assert((reported & ~deleted & ~VALID(sets)) == 0);
    assert(!trimmed || VALID(sets) != 0)
}

/* Any one bit of a mask that is not 0. */
inline pick(mask, out)
{
    out = 1;
    do
    :: (mask) & out -> break
    :: (mask) & ~(out | (out - 1)) -> out = out << 1
    od
}

/* All marks of `one`, one after the other. */
inline read_marks()
{
    do
    :: atomic {
           if
           :: mark & LOW(one) ->
              known = known | LOW(one);
              cond = cond | mpacks[LOW(one) >> 1];
              cparts = cparts | mparts[LOW(one) >> 1]
           :: else
           fi;
           one = one & ~LOW(one);
           if
           :: one == 0 -> break
           :: else
           fi
       }
    od
}

/* The segments; where listing takes time, a new name may be passed over before it is put, and the
 * old one that it replaces be removed before its turn comes. */
inline list_segments()
{
    if
    :: slow -> index = segs & ~1; index = index | (segs & 1)
    :: atomic { !slow -> index = segs }
    fi
}

inline store(mask, pack)
{
    packs = packs | (pack);
    if :: (mask) & 1 -> has[0] = has[0] | (pack) :: else fi;
    if :: (mask) & 2 -> has[1] = has[1] | (pack) :: else fi
}

/* Gives up on the lease `who`: lists the manifests, puts lapsed/, removes the lease. */
inline give_up(who)
{
    if
    :: (who & WRITERS) && !BAD(NO_LAPSED) ->
       atomic { if :: BAD(KEPT_TOO_OLD) :: else -> list = sets fi }
       atomic {
           if
           :: lapsed & who
           :: else ->
              lapsed = lapsed | who;
              kept = kept | (BAD(KEPT_EMPTY) -> 0 : ((list >> 1) & who))
           fi;
           promise()
       }
    :: else
    fi;
    atomic { lease = lease & ~who; who = 0; list = (BAD(KEPT_TOO_OLD) -> list : 0) }
}

proctype Writer(byte i)
{
    byte known, cond, cparts, index, have, one;
    {
        atomic {
            lease = lease | (1 << i);
            one = runs;
            if :: BAD(INDEX_BEFORE_MARKS) -> index = segs; have = packs :: else fi
        }
        read_marks();
        atomic {
            /* The file is written over, even when somebody has removed it meanwhile. */
            lease = lease | (1 << i);
            ack[i] = (BAD(ACK_UNREAD) -> mark : known);
            known = 0;
            if :: BAD(ACK_NOT_OBEYED) -> cond = 0 :: else fi
        }
        if
        :: atomic { BAD(INDEX_BEFORE_MARKS) -> skip }
        :: !BAD(INDEX_BEFORE_MARKS) -> list_segments()
        fi;
        atomic {
            /* It has what segments name, packs/ shows, and no mark condemns. The rest it stores. */
            index = NAMES(index) & ~cond &
                    (BAD(TRUST_SEGMENTS) -> 255 : (BAD(INDEX_BEFORE_MARKS) -> have : packs));
            have = ((index & has[0]) -> 1 : 0) | ((index & has[1]) -> 2 : 0);
            if
            :: i == 1 && takeover && (VALID(sets) & 2) &&
               (!(cparts & 2) || BAD(PARTS_TAKEN)) -> taken = 1
            :: else
            fi;
            index = 0; cond = 0; cparts = 0;
            if
            :: (want[i] & ~have) == 0 -> goto seal
            :: else
            fi;
            if :: BAD(SEGMENT_FIRST) -> segs = segs | (8 << i) :: else fi
        }
        atomic {
            store(want[i] & ~have, 4 << i);
            if :: BAD(SEGMENT_FIRST) || BAD(NO_SEGMENT) -> goto seal :: else fi
        }
        segs = segs | (8 << i);
seal:
        atomic { parts = parts | (2 << i); have = 0 }
        if
        :: (overdue & (1 << i)) && !BAD(NO_CHECKS) -> goto end_lease
        :: else
        fi;
        atomic {
            clash[i] = samename && !(sets & (4 >> i));
            sets = sets | (2 << i);
            promise()
        }
        atomic {
            if
            :: (overdue & (1 << i)) && !BAD(NO_LAST_CHECK) && !BAD(NO_CHECKS)
            :: else -> have = 1; goto end_lease
            fi
        }
        /* Withdrawn. Whether the set counts is decided once: by this, or by who gave up before. */
        atomic {
            if
            :: BAD(WITHDRAW_KEPT) || BAD(NO_LAPSED)
            :: else ->
               lapsed = lapsed | (1 << i); promise();
               if
               :: kept & (1 << i) -> have = 1; goto end_lease
               :: else
               fi
            fi
        }
        atomic {
            sets = sets & ~(2 << i);
            if
            :: BAD(NAME_REUSED) && clash[0] && clash[1] -> sets = sets & ~6
            :: else
            fi;
            promise()
        }
end_lease:
        atomic {
            lease = lease & ~(1 << i);
            if
            :: have -> reported = reported | (2 << i); promise()
            :: else
            fi;
            have = 0; running--
        }
    } unless {
        atomic {
            dead & (1 << i) ->
            known = 0; cond = 0; cparts = 0; index = 0; have = 0; one = 0; running--
        }
    }
}

/* May fail a reader of a set? Not of a valid one, nor of one that was there before all prunes and
 * that was deleted while it is read. */
#define MAY_GO(set) (set != 1 && !(VALID(sets) & set))

/* Reads a chunk where the index shows it, in condemned packs last; then by a fresh index. */
inline read_chunk(number)
{
    do
    :: atomic {
           places ->
           if
           :: places & ~cond -> pick((places & ~cond), one)
           :: else -> pick(places, one)
           fi;
           if
           :: packs & one -> one = 0; places = 0; break
           :: else -> places = places & ~one; one = 0
           fi
       }
    :: atomic {
           places == 0 ->
           if
           :: !(NEEDS(target) & (1 << number)) -> break
           :: else ->
              if
              :: fresh == 2 || BAD(READER_NO_REFRESH) || BAD(READER_INDEX_FIRST) ->
                 assert((overdue & READER) || MAY_GO(target));
                 goto end_lease
              :: else -> fresh++; index = segs; places = has[number] & NAMES(index)
              fi
           fi
       }
    od
}

proctype Reader()
{
    byte known, cond, cparts, list, target, index, places, one, fresh;
    {
        atomic {
            one = runs;
            if :: BAD(READER_NO_LEASE) :: else -> lease = lease | READER fi;
            if :: BAD(READER_INDEX_FIRST) -> index = segs :: else fi
        }
        read_marks();
        atomic { known = 0; cparts = 0; list = sets }
        atomic {
            list = VALID(list);
            if
            :: list == 0 -> goto end_lease
            :: else -> pick(list, target); list = 0
            fi
        }
        if
        :: atomic { BAD(READER_INDEX_FIRST) -> skip }
        :: !BAD(READER_INDEX_FIRST) -> list_segments()
        fi;
        atomic { places = ((NEEDS(target) & 1) -> has[0] & NAMES(index) : 0) }
        read_chunk(0);
        atomic { places = ((NEEDS(target) & 2) -> has[1] & NAMES(index) : 0) }
        read_chunk(1);
        atomic {
            /* Its parts are read with the manifest; here at the latest. */
            assert((PARTS(target) & ~parts) == 0 || (overdue & READER) || MAY_GO(target))
        }
end_lease:
        atomic {
            lease = lease & ~READER;
            cond = 0; target = 0; index = 0; places = 0; fresh = 0; running--
        }
    } unless {
        atomic {
            dead & READER ->
            known = 0; cond = 0; cparts = 0; list = 0; target = 0; index = 0; places = 0; one = 0;
            fresh = 0; running--
        }
    }
}

/* Removes a finished set. */
proctype Deleter(byte which)
{
end:
    atomic { sets & which -> sets = sets & ~which; deleted = deleted | which; promise() }
}

/* Step 4 for one chunk: its home, or that it has to be copied. A prune whose lease stands finds
 * a place for every chunk of a set that is still there. */
inline find_home(number)
{
    if
    :: NEEDS(valid) & (1 << number) ->
       one = has[number] & NAMES(index) & there;
       if
       :: one == 0 && !fresh && !BAD(PRUNE_NO_REFRESH) -> fresh = 1; home = 0; copy = 0; goto load
       :: one == 0 && (fresh || BAD(PRUNE_NO_REFRESH)) ->
          assert((overdue & ME) || !(NEEDS(VALID(sets)) & (1 << number))); goto end_lease
       :: one != 0 && (one & ~cond) == 0 && !BAD(NO_MOVE) -> copy = copy | (1 << number)
       :: one != 0 && (one & ~cond) == 0 && BAD(NO_MOVE) -> pick(one, other); home = home | other
       :: one & ~cond -> pick((one & ~cond), other); home = home | other
       :: (one & ~cond) && repack -> copy = copy | (1 << number)
       fi;
       one = 0; other = 0
    :: else
    fi
}

/* Step 8 for one chunk: `home` gets the condemned packs that are pardoned for it. */
inline find_pardon(number)
{
    if
    :: NEEDS(valid) & (1 << number) ->
       one = has[number] & NAMES(index) & there;
       if
       :: one == 0 && !fresh && !BAD(PRUNE_NO_REFRESH) -> fresh = 1; goto look
       :: one == 0 && (fresh || BAD(PRUNE_NO_REFRESH)) ->
          assert((overdue & ME) || !(NEEDS(VALID(sets)) & (1 << number))); goto end_lease
       :: one & ~cond & ~mine
       :: one != 0 && (one & ~cond & ~mine) == 0 ->
          if
          :: BAD(PARDON_ONE) -> pick(one, other); home = home | other
          :: else -> home = home | one
          fi
       fi;
       one = 0; other = 0
    :: else
    fi
}

/* `asleep`: has passed step 9 with these packs to delete, and wakes now. `last`: begins when all
 * others have ended. */
proctype Prune(byte r; byte asleep; bool last)
{
    byte known, cond, cparts, list, valid, index, there, pthere;
    byte home, copy, mine, pmine, waiting, one, other;
    bool fresh, partial;
    {
        if
        :: atomic { asleep -> mine = asleep; index = segs; there = packs; asleep = 0; goto sweep }
        :: atomic {
               !asleep && (!last || running == 1) ->
               if :: BAD(WAIT_WITH_LEASE) -> lease = lease | ME :: else fi
           }
        fi;
step1:
        do
        :: (lease & PRUNES & ~ME) == 0 -> break
        :: atomic {
               lease & PRUNES & ~ME & overdue -> pick((lease & PRUNES & ~ME & overdue), one)
           }
           give_up(one)
        :: !patient && !last && (lease & PRUNES & ~ME) -> goto clear
        od;
        atomic {
            lease = lease | ME;
            one = runs & ~(1 << r);
            if :: BAD(INDEX_BEFORE_SETS) || BAD(OLD_INDEX_AT_8) -> index = segs :: else fi;
            if :: BAD(LAPSED_FIRST) -> valid = VALID(7) :: else fi
        }
        /* 2, 3: marks, sets, leases, sets, lapsed, in this order. */
        read_marks();
        list = sets;
        if
        :: retain -> other = lease; pthere = list & sets
        :: !retain
        fi;
        atomic {
            valid = (BAD(LAPSED_FIRST) -> valid & list : VALID(list)); list = list & ~valid;
            if
            :: retain && (valid & 1) &&
               (valid & 6 & (BAD(RETAIN_ANY) -> 6 : pthere & ~((other & WRITERS) << 1))) ->
               list = list | 1; valid = valid & ~1
            :: else
            fi;
            other = 0
        }
load:
        /* 4: segments, then packs. */
        if
        :: atomic { BAD(INDEX_BEFORE_SETS) || BAD(OLD_INDEX_AT_8) -> skip }
        :: !BAD(INDEX_BEFORE_SETS) && !BAD(OLD_INDEX_AT_8) -> list_segments()
        fi;
        atomic {
            there = packs; pthere = parts;
            find_home(0); find_home(1);
            if
            :: list == 0 && copy == 0 -> goto condemn
            :: list == 0 && copy != 0 -> goto rewrite
            :: else
            fi
        }
        /* Manifests that retention does not keep, and those that do not count. */
        atomic {
            if :: (list & 1) -> deleted = deleted | 1; trimmed = 1 :: else fi;
            sets = sets & ~list; list = 0; promise();
            if :: copy == 0 -> goto condemn :: else fi
        }
rewrite:
        /* 5 */
        atomic {
            if
            :: ((copy & 1) && !(has[0] & NAMES(index) & packs)) ||
               ((copy & 2) && !(has[1] & NAMES(index) & packs)) -> goto end_lease
            :: else
            fi;
            store(copy, 16 << r);
            home = home | (16 << r); copy = 0
        }
        atomic {
            segs = segs | (32 << r);
            if :: BAD(OLD_INDEX_AT_8) -> index = index | (32 << r) :: else fi
        }
condemn:
        if
        :: atomic { BAD(LEASES_BEFORE_MARK) -> waiting = lease & ~ME }
        :: atomic { BAD(ORPHANS_UNMARKED) -> packs = packs & (NAMES(index) | home | cond); promise() }
        :: !BAD(LEASES_BEFORE_MARK) && !BAD(ORPHANS_UNMARKED)
        fi;
        /* 6: the mark names all that is deleted, whoever else condemned it. */
        atomic {
            mine = there & ~home; pmine = pthere & ~PARTS(valid);
            mpacks[r] = (BAD(MARK_ONLY_NEW) -> mine & ~cond : mine);
            mparts[r] = pmine;
            mark = mark | (1 << r);
            home = 0; there = 0; pthere = 0; valid = 0; cparts = 0; fresh = 0;
            if :: BAD(OLD_INDEX_AT_8) :: else -> index = 0 fi
        }
        if
        :: overdue & ME -> mark = mark & ~(1 << r); goto end_lease
        :: else
        fi;
        /* 7 */
        atomic {
            if :: BAD(LEASES_BEFORE_MARK) || BAD(NO_WAITING) :: else -> waiting = lease & ~ME fi;
            if :: BAD(KEPT_TOO_OLD) -> list = sets :: else fi
        }
        do
        :: waiting == 0 -> break
        :: atomic { waiting & ~lease -> waiting = waiting & lease }
        :: atomic { (waiting & 1) && (ack[0] & (1 << r)) -> waiting = waiting & ~1 }
        :: atomic { (waiting & 2) && (ack[1] & (1 << r)) -> waiting = waiting & ~2 }
        :: atomic { waiting & lease & overdue -> pick((waiting & lease & overdue), one) }
           give_up(one)
        :: (waiting & lease & PRUNES & (BAD(BOTH_YIELD) -> 255 : ME - 1)) && !BAD(NO_YIELD) ->
           mark = mark & ~(1 << r);
           lease = lease & ~ME;
           atomic {
               known = 0; cond = 0; mine = 0; pmine = 0; waiting = 0;
               if
               :: restart -> goto step1
               :: else -> goto clear
               fi
           }
        :: atomic {
               !patient && !last && waiting ->
               waiting = 0; other = 0; home = 0; one = known; partial = 1;
               if :: known == 0 -> goto end_lease :: else fi
           }
           goto older
        od;
        goto second_look;
older:
        /* Others are in the way, but perhaps all who are at work obey an older mark. */
        do
        :: atomic {
               if
               :: (lease & ~ME & ~(((ack[0] & LOW(one)) -> 1 : 0) | ((ack[1] & LOW(one)) -> 2 : 0))) == 0 ||
                  BAD(OLDER_NOT_ASKED) ->
                  home = home | mpacks[LOW(one) >> 1]; other = other | mparts[LOW(one) >> 1]
               :: else
               fi;
               one = one & ~LOW(one);
               if :: one == 0 -> break :: else fi
           }
        od;
        atomic {
            mine = mine & home; pmine = pmine & other; home = 0; other = 0;
            if :: mine == 0 && pmine == 0 -> goto end_lease :: else fi
        }
second_look:
        /* 8: sets, lapsed, segments, packs. */
        list = sets;
        atomic { valid = VALID(list); list = 0 }
look:
        if
        :: atomic { BAD(OLD_INDEX_AT_8) -> skip }
        :: !BAD(OLD_INDEX_AT_8) -> list_segments()
        fi;
        atomic {
            there = packs; home = 0;
            if
            :: BAD(NO_SECOND_LOOK)
            :: else ->
               find_pardon(0); find_pardon(1);
               mine = mine & ~home; pmine = pmine & ~PARTS(valid)
            fi;
            home = 0; valid = 0; fresh = 0
        }
        /* 9 */
        atomic {
            if
            :: (overdue & ME) && !BAD(NO_CHECK_AT_9) -> goto end_lease
            :: else
            fi;
            if :: BAD(MARK_REMOVED_FIRST) -> mark = mark & ~(1 << r) :: else fi;
            if :: !((index & 1) && (3 & (mine | ~there))) -> goto single :: else fi;
            if :: BAD(SEGMENT_GAP) -> segs = segs & ~1; promise() :: else fi
        }
sweep:
        /* 10 */
        atomic {
            if
            :: (3 & there & ~mine) == 1 -> segs = segs | 2
            :: (3 & there & ~mine) == 2 -> segs = segs | 4
            :: else
            fi
        }
        atomic { segs = segs & ~1; promise() }
single:
        atomic { index = index & ~1; one = 2 }
        do
        :: atomic {
               do
               :: one == 0 || ((index & one) && (NAMES(one) & (mine | ~there))) -> break
               :: else -> one = one << 1
               od;
               segs = segs & ~one; promise();
               if
               :: one == 0 -> index = 0; there = there & ~mine; break
               :: else -> index = index & ~one
               fi
           }
        od;
        do
        :: atomic {
               packs = packs & ~LOW(mine); mine = mine & ~LOW(mine); promise();
               if :: mine == 0 -> break :: else fi
           }
        od;
        atomic { parts = parts & ~pmine; pmine = 0; promise() }
        /* Of the others' marks those go whose packs are all gone. */
        do
        :: atomic {
               if
               :: (mpacks[LOW(known) >> 1] & there) == 0 || BAD(FOREIGN_MARK_GOES) ->
                  mark = mark & ~LOW(known)
               :: else
               fi;
               known = known & ~LOW(known);
               if :: known == 0 -> break :: else fi
           }
        od;
        if :: partial :: !partial -> mark = mark & ~(1 << r) fi;
end_lease:
        lease = lease & ~ME;
clear:
        atomic {
            if
            :: last ->
               /* Alone, it leaves nothing behind. */
               assert(mark == 0 && lease == 0 && packs == NAMES(segs) && sets == VALID(sets));
               assert((parts & ~PARTS(sets)) == 0);
               assert((NEEDS(sets) != 0) || packs == 0)
            :: else
            fi;
            known = 0; cond = 0; cparts = 0; list = 0; valid = 0; index = 0; there = 0; pthere = 0;
            home = 0; copy = 0; mine = 0; pmine = 0; waiting = 0; one = 0; other = 0; fresh = 0; partial = 0; running--
        }
    } unless {
        atomic {
            dead & ME ->
            known = 0; cond = 0; cparts = 0; list = 0; valid = 0; index = 0; there = 0; pthere = 0;
            home = 0; copy = 0; mine = 0; pmine = 0; waiting = 0; one = 0; other = 0; fresh = 0; partial = 0; running--
        }
    }
}

/* Some leases, none of `exempt`, run out: their holders sleep, have crashed, or cannot reach the store. */
proctype Clock(byte left; byte exempt)
{
    byte one;
    do
    :: atomic {
           left > 0 && (lease & ~overdue & ~exempt) != 0 ->
           pick((lease & ~overdue & ~exempt), one); overdue = overdue | one; one = 0; left--
       }
    :: atomic { left == 0 || running == 0 -> left = 0; break }
    od
}

/* Kills one process, none of `exempt`. It is known to be dead: others on its machine remove its lease. */
proctype Killer(byte exempt)
{
    byte one;
    if
    :: atomic { lease & ~exempt -> pick((lease & ~exempt), one); dead = one }
       atomic { lease = lease & ~one; one = 0 }
    :: running == 0
    fi
}

c_decl {
static unsigned char option(const char *name)
{
    const char *value = getenv(name);
    return (unsigned char)(value == NULL ? 0 : atoi(value));
}
}

#define START(process) running++; run process

init
{
    byte prunes, asleep, x;
    atomic {
        c_code {
            now.mutant = option("MUTANT");
            now.want[0] = option("WANT0");
            now.want[1] = option("WANT1");
            now.retain = option("RETAIN");
            now.patient = !option("IMPATIENT");
            now.repack = option("REPACK");
            now.takeover = option("TAKEOVER");
            now.samename = option("SAMENAME");
            now.restart = option("RESTART");
            now.slow = option("SLOW");
            now.need0 = option("NEED");
            now.has[0] = option("HAS_A");
            now.has[1] = option("HAS_B");
            Pinit->prunes = option("PRUNES");
            Pinit->asleep = option("ASLEEP");
        };
        packs = has[0] | has[1]; parts = 1; sets = 1; reported = 1;
        segs = (packs == 3 -> 1 : packs << 1);
        if
        :: asleep ->
           runs = 1; mark = 1; mpacks[0] = asleep; lease = 8; overdue = 8;
           START(Prune(0, asleep, 0))
        :: else
        fi;
        runs = runs | prunes;
        if :: prunes & 1 -> START(Prune(0, 0, 0)) :: else fi;
        if :: prunes & 2 -> START(Prune(1, 0, 0)) :: else fi;
        c_code { Pinit->x = option("LAST"); };
        if
        :: x -> runs = runs | 4; START(Prune(2, 0, 1))
        :: !x && (prunes & 4) -> START(Prune(2, 0, 0))
        :: else
        fi;
        if :: want[0] -> START(Writer(0)) :: else fi;
        if :: want[1] -> START(Writer(1)) :: else fi;
        c_code { Pinit->x = option("READER"); };
        if :: x -> START(Reader()) :: else fi;
        c_code { Pinit->x = option("DELETE"); };
        if :: x -> run Deleter(x) :: else fi;
        c_code { Pinit->x = option("CLOCK"); Pinit->prunes = option("LAST") ? 32 : 0; };
        if :: x -> run Clock(x, prunes) :: else fi;
        c_code { Pinit->x = option("KILL"); };
        if :: x -> run Killer(prunes) :: else fi;
        prunes = 0; asleep = 0; x = 0
    }
}

/* With a fair scheduler, and nobody who dies without it being known: everybody ends. */
ltl ends { <> [] (running == 0) }
