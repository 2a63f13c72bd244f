/*
 * Included before yyjson.c in the bare-metal image, which has no files: yyjson's FILE functions stay in the object but find that nothing can
 * be opened, so that libc's stdio (and the open/read/lseek below it) is not linked in.
 */
#ifndef BERTH_YYJSON_NO_FILES_H
#define BERTH_YYJSON_NO_FILES_H

#include <stdio.h>

#undef fopen
#undef fclose
#undef fread
#undef fseek
#undef ftell
#undef feof
#define fopen(path, mode) ((FILE *)0)
#define fclose(file) ((void)(file), 0)
#define fread(buf, size, count, file) ((void)(file), (size_t)0)
#define fseek(file, offset, whence) ((void)(file), -1)
#define ftell(file) ((void)(file), -1L)
#define feof(file) ((void)(file), 1)

#endif
