using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>The machines of an order, each with how far it is, then with what came of it.</summary>
    internal sealed class MachineList : ListView
    {
        private static readonly Dictionary<Stage, string> Words = new Dictionary<Stage, string>
        {
            { Stage.Waiting, "waiting" }, { Stage.Begun, "being made" }, { Stage.Complete, "complete" },
            { Stage.Made, "made" }, { Stage.Running, "running" }
        };

        public MachineList(IEnumerable<string> names, int width)
        {
            View = View.Details;
            FullRowSelect = true;
            HeaderStyle = ColumnHeaderStyle.Nonclickable;
            Width = width;
            Columns.Add("Machine", width / 3);
            Columns.Add("State", width - width / 3 - SystemInformation.VerticalScrollBarWidth - 4);
            foreach (string name in names)
            {
                Items.Add(new ListViewItem(new[] { Printable.Line(name), Words[Stage.Waiting] }) { Name = name });
            }
        }

        public void ShowStages(MachineWatch watch)
        {
            foreach (ListViewItem each in Items)
            {
                Write(each, Words[watch[each.Name]], SystemColors.WindowText);
            }
        }

        public void ShowResults(IEnumerable<Made> made)
        {
            foreach (Made each in made)
            {
                ListViewItem item = Items.Cast<ListViewItem>().FirstOrDefault(row => row.Name == each.Name);
                if (item != null)
                {
                    Write(item, each.ToString(), each.Error != "" ? Look.Wrong : Look.Accent);
                    item.ToolTipText = each.ToString();
                }
            }
            ShowItemToolTips = true;
        }

        public void ShowNone()
        {
            ShowAll("not made");
        }

        public void ShowUnknown()
        {
            ShowAll("not known");
        }

        private void ShowAll(string what)
        {
            foreach (ListViewItem each in Items)
            {
                Write(each, what, Look.Quiet);
            }
        }

        private static void Write(ListViewItem item, string what, Color colour)
        {
            if (item.SubItems[1].Text != what || item.ForeColor != colour)
            {
                item.SubItems[1].Text = what;
                item.ForeColor = colour;
            }
        }
    }
}
