using System;
using System.Collections.Generic;
using System.Linq;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>The layers that go above the chosen master: those that are ticked, in this order, the lowest first.</summary>
    internal sealed class LayerList : FlowLayoutPanel
    {
        private readonly CheckedListBox box;

        /// <summary>Others are ticked now, or in another order.</summary>
        public event EventHandler Edited;

        public LayerList(int width)
        {
            AutoSize = true;
            WrapContents = false;
            Margin = new Padding(0);
            box = new CheckedListBox
            {
                Width = width - 76, CheckOnClick = true, IntegralHeight = false
            };
            box.Height = box.ItemHeight * 4 + 6;
            box.ItemCheck += (sender, nothing) => TellLater();
            Controls.Add(box);
            var moves = new FlowLayoutPanel { AutoSize = true, FlowDirection = FlowDirection.TopDown, Margin = new Padding(0) };
            moves.Controls.Add(MoveButton("Up", -1));
            moves.Controls.Add(MoveButton("Down", 1));
            Controls.Add(moves);
        }

        /// <summary>Digests with commas between them, as the dom0 plugin takes them; "" where none is ticked.</summary>
        public string Value
        {
            get { return string.Join(",", box.CheckedItems.Cast<Layer>().Select(each => each.Digest)); }
        }

        /// <summary>What is ticked stays so, and where it is, if it is one of these.</summary>
        public void Offer(IList<Layer> layers)
        {
            List<Layer> kept = box.Items.Cast<Layer>().Where(layers.Contains).ToList();
            Show(kept.Concat(layers.Except(kept)).ToList(), box.CheckedItems.Cast<Layer>().ToList());
        }

        /// <summary>Exactly these are ticked, in this order, as far as they are offered.</summary>
        public void Say(IEnumerable<string> wanted)
        {
            List<Layer> all = box.Items.Cast<Layer>().ToList();
            List<Layer> ticked = wanted.Select(each => all.FirstOrDefault(layer => layer.IsCalled(each)))
                .Where(each => each != null).Distinct().ToList();
            Show(ticked.Concat(all.Except(ticked)).ToList(), ticked);
        }

        private void Show(IList<Layer> layers, ICollection<Layer> ticked)
        {
            if (box.Items.Cast<Layer>().SequenceEqual(layers) && box.CheckedItems.Cast<Layer>().SequenceEqual(ticked))
            {
                return;
            }
            box.Items.Clear();
            foreach (Layer each in layers)
            {
                box.Items.Add(each, ticked.Contains(each));
            }
            TellLater();
        }

        private Button MoveButton(string label, int by)
        {
            var button = new Button { Text = label, Width = 64, TabStop = true };
            button.Click += (sender, nothing) => Shift(by);
            return button;
        }

        private void Shift(int by)
        {
            int from = box.SelectedIndex;
            int to = from + by;
            if (from < 0 || to < 0 || to >= box.Items.Count)
            {
                return;
            }
            List<Layer> layers = box.Items.Cast<Layer>().ToList();
            Layer moved = layers[from];
            layers.RemoveAt(from);
            layers.Insert(to, moved);
            Show(layers, box.CheckedItems.Cast<Layer>().ToList());
            box.SelectedIndex = to;
        }

        /// <summary>A tick that is told of is not set yet.</summary>
        private void TellLater()
        {
            if (IsHandleCreated)
            {
                BeginInvoke(new Action(() =>
                {
                    if (Edited != null)
                    {
                        Edited(this, EventArgs.Empty);
                    }
                }));
            }
        }
    }
}
