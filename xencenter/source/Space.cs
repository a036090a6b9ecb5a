using System.Collections.Generic;
using System.Linq;

namespace Skinnybox
{
    /// <summary>What one storage has, and what overlays of one size take of it: as the dom0 plugin's `capacity` says.</summary>
    internal sealed class Room
    {
        public readonly string Uuid;
        public readonly string Label;
        public readonly long Capacity;
        public readonly long Free;

        /// <summary>Bytes of one machine once it runs, and when all of its overlay is written.</summary>
        public readonly long Each;
        public readonly long EachFull;
        public readonly bool IsEstimate;

        public Room(Record record)
        {
            Uuid = record.Text("uuid");
            Label = Printable.Line(record.Text("name"));
            Capacity = record.Number("size");
            Free = record.Number("free");
            Each = record.Number("each");
            EachFull = record.Number("each_full");
            IsEstimate = record.Flag("estimate");
        }

        public override string ToString()
        {
            return Label + " (" + Sizes.Show(Free) + " free)";
        }
    }

    /// <summary>The storages of a pool, seen for one size of overlay.</summary>
    internal sealed class Space
    {
        public readonly IList<Room> Rooms;

        public Space(Pool pool, long overlay)
        {
            Record told = pool.AskPlugin("capacity", new Dictionary<string, string> { { "overlay", overlay.ToString() } });
            Rooms = told.List("srs").Select(each => new Room(new Record(each))).ToList();
        }

        /// <summary>Null where no storage of this UUID or name takes disks.</summary>
        public Room Find(string wanted)
        {
            return Rooms.FirstOrDefault(each => each.Uuid == wanted) ?? Rooms.FirstOrDefault(each => each.Label == wanted);
        }
    }
}
