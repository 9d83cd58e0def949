//! Images: references into verified, unpacked layers on this disk.
