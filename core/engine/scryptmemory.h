/*
 * scryptmemory.h: large blocks of OpenSSL in huge pages, where the kernel has them.
 *
 * The table of scrypt has 32 MiB and is read at random. In pages of 4 KiB it costs 8,192 page
 * faults and a miss of the translation cache at each step: on virtual machines as much time as the
 * hashing itself, in every command that opens a repository.
 */
#ifndef CORE_ENGINE_SCRYPTMEMORY_H
#define CORE_ENGINE_SCRYPTMEMORY_H

/* Before the first use of OpenSSL; later calls change nothing. */
void scryptmemory_prepare(void);

#endif
